"""The nightly ledger of the model ``example_model``."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.ci import JOB_KEY, TEST_KEY
from cilake.contracts.vocabulary.prediction import MODEL_VERSION, PREDICTION_DATE

TABLE = Table(
    address="predictions.example_model",
    title="EXAMPLE: predictions",
    grain="One row per job, test and decision day.",
    description="EXAMPLE: will this test fail in the next run of this job? Made once a night, never changed afterwards.",
    columns=(
        JOB_KEY,
        TEST_KEY,
        PREDICTION_DATE,
        Column("failure_probability", "double", "Probability that the next result is a failure.", unit="probability", example=0.01),
        Column("history_probability", "double", "Baseline: the shrunken share of earlier failures.", unit="probability", example=0.01),
        Column("abstain_reason", "string", "Why the prediction should not be relied on; null when it may be.", nullable=True,
               allowed=("too_few_runs",), example="too_few_runs"),
        MODEL_VERSION,
        Column("scored_at", "timestamp", "When the row was made, by our clock, UTC.", example="2021-06-22T02:00:00Z"),
    ),
    primary_key=("job_key", "test_key", "prediction_date"),
    write_mode="ledger",
    partition_by=("months(prediction_date)",),
    sort_by=("prediction_date", "job_key"),
    inputs=("core.test_results", "core.ci_runs", "core.ci_run_observations", "ops.model_versions"),
    feeds=("predictions.accuracy",),
    made_by="score_example_model",
    change_columns=("model_version",),
    freshness_hours=36,
    key_slices=4,
    shown_on="predictions",
    example_query="select prediction_date, count(*) as prediction_count from predictions.example_model group by 1 order by 1",
)
