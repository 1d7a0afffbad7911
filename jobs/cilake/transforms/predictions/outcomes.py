"""Outcomes: each prediction with the next final result of its test in its job."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from cilake.contracts.columns import UNDECIDED
from cilake.contracts.predictions.outcomes import TABLE

HORIZON_DAYS = 14


def affected_days(run_dates: Iterable[date]) -> set[date]:
    """Return the prediction days whose outcomes results of the given dates may decide."""
    return {day - timedelta(days=back) for day in run_dates for back in range(1, HORIZON_DAYS + 1)}


def outcome_dates(days: Iterable[date]) -> set[date]:
    """Return the dates of the results that may decide predictions of the given days."""
    return {day + timedelta(days=ahead) for day in days for ahead in range(1, HORIZON_DAYS + 1)}


def transform(predictions: DataFrame, results: DataFrame, *, model_name: str) -> DataFrame:
    """Return rows of ``predictions.outcomes`` for the predictions that have a next result within the horizon.

    The decision is made when ``prediction_date`` ends; the outcome is the first result of a run started
    after it (ties by run key) in which the test ran, failed or not. ``results`` hold all
    ``outcome_dates`` of the predictions.
    """
    final = results.where(~F.col("test_status").isin(*UNDECIDED))
    order = F.struct("started_at", "run_key")
    first_of_day = final.groupBy("job_key", "test_key", "run_date").agg(
        F.min_by(F.struct("run_key", "started_at", "test_status", "known_at"), order).alias("next")
    )
    # A day's first result is the outcome of the decisions since the day of the result before it.
    of_entity = Window.partitionBy("job_key", "test_key").orderBy("run_date")
    earliest = F.greatest(F.lag("run_date").over(of_entity), F.date_sub("run_date", HORIZON_DAYS))
    decided = F.sequence("earliest", F.date_sub("run_date", 1))
    following = (
        first_of_day.withColumn("earliest", earliest)
        .select("job_key", "test_key", "next", F.explode(decided).alias("prediction_date"))
        .join(predictions, ["job_key", "test_key", "prediction_date"])
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
