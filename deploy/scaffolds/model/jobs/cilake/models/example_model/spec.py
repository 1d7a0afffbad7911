"""The declaration of the model: what it forecasts, from what, and when it is believed."""

from __future__ import annotations

from cilake.contracts.model_spec import Gate, Model

MODEL = Model(
    name="example_model",
    question="EXAMPLE: will this test fail in the next run of this job?",
    inputs=("core.ci_runs", "core.test_results", "core.ci_run_observations", "core.tests"),
    label="has_failed",
    scorers={"model": "failure_probability", "history": "history_probability"},
    gate=Gate(
        metric="log_loss",
        baseline="history",
        block_by="job_key",
        pooled_days=28,
        minimum_improvement=0.05,
        tail=0.05,
        resamples=1000,
        minimum_failures=100,
        minimum_failing_blocks=20,
        must_not_worsen=("brier", "average_precision"),
        calibration_factor=2.0,
        calibration_deviations=3.0,
        probation_nights=14,
        champion_days=56,
    ),
)
