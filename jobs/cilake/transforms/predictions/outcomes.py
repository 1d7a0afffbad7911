"""Outcomes: each prediction with the next final result of its test in its job."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.contracts.predictions.outcomes import TABLE

HORIZON_DAYS = 14
NOT_FINAL = "running"


def transform(predictions: DataFrame, results: DataFrame, *, model_name: str) -> DataFrame:
    """Rows of ``predictions.outcomes`` for the predictions that have a next result within the horizon.

    The decision is made when ``prediction_date`` ends; the outcome is the first result of a run started
    after it (ties by run key), failed or not.
    """
    decided_at = F.timestamp_add("DAY", F.lit(1), F.col("prediction_date").cast("timestamp"))
    decisions = predictions.withColumn("decided_at", decided_at)
    later = results.where(F.col("test_status") != NOT_FINAL).select(
        "job_key", "test_key", "run_key", "started_at", "test_status", "known_at"
    )
    horizon = F.timestamp_add("DAY", F.lit(HORIZON_DAYS), F.col("decided_at"))
    after = (F.col("started_at") >= F.col("decided_at")) & (F.col("started_at") < horizon)
    joined = decisions.join(later, ["job_key", "test_key"]).where(after)
    kept = ["model_version", "failure_probability", "shrunken_probability", "base_rate_probability",
            "last_value_probability", "abstain_reason"]  # fmt: skip
    following = joined.groupBy("job_key", "test_key", "prediction_date").agg(
        F.min_by(
            F.struct("run_key", "started_at", "test_status", "known_at"), F.struct("started_at", "run_key")
        ).alias("next"),
        *[F.first(name).alias(name) for name in kept],
    )
    return following.select(
        F.lit(model_name).alias("model_name"),
        "job_key",
        "test_key",
        "prediction_date",
        "model_version",
        F.col("next.run_key").alias("run_key"),
        F.col("next.started_at").alias("outcome_at"),
        (F.col("next.test_status") == "failed").alias("has_failed"),
        "failure_probability",
        "shrunken_probability",
        "base_rate_probability",
        "last_value_probability",
        F.col("abstain_reason").isNotNull().alias("has_abstained"),
        F.col("next.known_at").alias("known_at"),
    ).select(TABLE.column_names)
