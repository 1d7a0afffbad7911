"""Outcomes: each prediction with the next final result of its test in its job."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from cilake.contracts.columns import UNDECIDED
from cilake.contracts.predictions.test_failure_outcomes import HORIZON_DAYS, TABLE
from cilake.transforms.core.tests import leave_out_verdicts


def transform(
    *, test_failure: DataFrame, ci_runs: DataFrame, tests: DataFrame, test_results: DataFrame
) -> DataFrame:
    """Return rows of ``predictions.test_failure_outcomes``: predictions with a next result in the horizon.

    The decision is made when ``prediction_date`` ends; the outcome is the first result of a run started
    after it (ties by run key) in which the test ran, failed or not. ``test_results`` reach over the horizon.
    A correction shows in ``ci_runs``, of which nothing else is needed.
    """
    results = leave_out_verdicts(test_results, tests)
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
        .join(test_failure, ["job_key", "test_key", "prediction_date"])
    )
    return following.select(
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
