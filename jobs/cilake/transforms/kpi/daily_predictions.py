"""Daily predictions: what was predicted for each job each night, and what came of it."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.contracts.kpi.daily_predictions import TABLE
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.transforms.sums import exact_sum, log_loss

_KEY = ["job_key", "prediction_date", "model_version"]


def transform(*, test_failure: DataFrame, test_failure_outcomes: DataFrame, ci_jobs: DataFrame) -> DataFrame:
    """Return rows of ``kpi.daily_predictions`` for the days of predictions and their outcomes."""
    made = test_failure.groupBy(*_KEY).agg(
        F.count("*").alias("prediction_count"),
        *[
            F.count_if(F.col("abstain_reason") == reason).alias(f"{reason}_count")
            for reason in PREDICTIONS.column("abstain_reason").allowed
        ],
    )
    measured = (
        test_failure_outcomes.where(~F.col("has_abstained"))
        .groupBy(*_KEY)
        .agg(
            F.count("*").alias("measured_count"),
            F.count_if("has_failed").alias("failure_count"),
            exact_sum(F.col("failure_probability")).alias("expected_failures"),
            exact_sum(log_loss("failure_probability", "has_failed")).alias("model_loss"),
            exact_sum(log_loss("shrunken_probability", "has_failed")).alias("shrunken_loss"),
        )
    )
    return (
        made.join(measured, _KEY, "left")
        .fillna(0)
        .join(ci_jobs.select("job_key", "job_name", "release", "platform"), "job_key")
        .withColumn("model_name", F.lit("test_failure"))
        .select(TABLE.column_names)
    )
