"""Daily predictions: what was predicted for each job each night, and what came of it."""

from __future__ import annotations

from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.lake.literals import quoted
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import exact_sum, log_loss

_REASONS = ", ".join(
    f"count_if(abstain_reason = {quoted(reason)}) AS {reason}_count"
    for reason in PREDICTIONS.column("abstain_reason").allowed
)
QUERY = f"""
WITH made AS (
    SELECT job_key, prediction_date, model_version, count(*) AS prediction_count, {_REASONS}
    FROM test_failure GROUP BY job_key, prediction_date, model_version
),
measured AS (
    SELECT job_key, prediction_date, model_version,
        count(*) AS measured_count,
        count_if(has_failed) AS failure_count,
        {exact_sum("failure_probability")} AS expected_failures,
        {exact_sum(log_loss("failure_probability", "has_failed"))} AS model_loss,
        {exact_sum(log_loss("shrunken_probability", "has_failed"))} AS shrunken_loss
    FROM test_failure_outcomes WHERE NOT has_abstained GROUP BY job_key, prediction_date, model_version
)
SELECT made.*, 'test_failure' AS model_name, job_name, release, platform,
    coalesce(measured_count, 0) AS measured_count,
    coalesce(failure_count, 0) AS failure_count,
    coalesce(expected_failures, 0e0) AS expected_failures,
    coalesce(model_loss, 0e0) AS model_loss,
    coalesce(shrunken_loss, 0e0) AS shrunken_loss
FROM made
JOIN ci_jobs ON made.job_key = ci_jobs.job_key
LEFT JOIN measured ON made.job_key = measured.job_key AND made.prediction_date = measured.prediction_date
    AND made.model_version = measured.model_version
"""


def transform(
    engine: Engine[Rows], *, test_failure: Rows, test_failure_outcomes: Rows, ci_jobs: Rows
) -> Rows:
    """Return rows of ``kpi.daily_predictions`` for the days of predictions and their outcomes."""
    return engine.sql(
        QUERY, test_failure=test_failure, test_failure_outcomes=test_failure_outcomes, ci_jobs=ci_jobs
    )
