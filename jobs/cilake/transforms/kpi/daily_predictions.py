"""Daily predictions: what was predicted for each job each night, and what came of it."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.kpi.daily_predictions import TABLE
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1, as in the measured accuracy."""
_KEY = ["job_key", "prediction_date", "model_version"]


def transform(predictions: DataFrame, outcomes: DataFrame, jobs: DataFrame) -> DataFrame:
    """Rows of ``kpi.daily_predictions`` for the days of the given predictions and their outcomes."""
    made = predictions.groupBy(*_KEY).agg(
        F.count("*").alias("prediction_count"),
        *[
            F.count_if(F.col("abstain_reason") == reason).alias(f"{reason}_count")
            for reason in PREDICTIONS.column("abstain_reason").allowed
        ],
    )
    measured = (
        outcomes.where(~F.col("has_abstained"))
        .groupBy(*_KEY)
        .agg(
            F.count("*").alias("measured_count"),
            F.count_if("has_failed").alias("failure_count"),
            F.sum("failure_probability").alias("expected_failures"),
            F.sum(_log_loss("failure_probability")).alias("model_loss"),
            F.sum(_log_loss("shrunken_probability")).alias("shrunken_loss"),
        )
    )
    return (
        made.join(measured, _KEY, "left")
        .fillna(0)
        .join(jobs.select("job_key", "job_name", "release", "platform"), "job_key")
        .select(TABLE.column_names)
    )


def _log_loss(probability: str) -> Column:
    kept = F.greatest(F.least(F.col(probability), F.lit(1 - CLIP)), F.lit(CLIP))
    return -F.log(F.when(F.col("has_failed"), kept).otherwise(1 - kept))
