"""Likely failures: the ledger's predictions of 1 % or more, with names and the last failing run."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.contracts.columns import FAILING
from cilake.contracts.kpi.likely_failures import LOOKBACK_DAYS, TABLE

LEAST_PROBABILITY = 0.01


def transform(
    *,
    test_failure: DataFrame,
    ci_jobs: DataFrame,
    tests: DataFrame,
    ci_runs: DataFrame,
    test_results: DataFrame,
) -> DataFrame:
    """Return rows of ``kpi.likely_failures`` for the given predictions.

    ``test_results`` and ``ci_runs`` reach from ``LOOKBACK_DAYS`` before each decision day to that day.
    """
    likely = test_failure.where(
        F.col("abstain_reason").isNull() & (F.col("failure_probability") >= LEAST_PROBABILITY)
    )
    entity = ["job_key", "test_key"]
    failures = (
        test_results.where(F.col("test_status").isin(*FAILING))
        .join(F.broadcast(likely.select(*entity, "prediction_date")), entity)
        .where(
            F.col("run_date").between(F.date_sub("prediction_date", LOOKBACK_DAYS), F.col("prediction_date"))
        )
        .groupBy(*entity, "prediction_date")
        .agg(F.max(F.struct("started_at", "run_key")).alias("last"))
        .join(
            ci_runs.select("run_key", F.col("run_url").alias("last_failed_run_url")),
            F.col("last.run_key") == F.col("run_key"),
        )
        .select(
            *entity,
            "prediction_date",
            F.col("last.started_at").alias("last_failed_at"),
            "last_failed_run_url",
        )
    )
    return (
        likely.join(ci_jobs.select("job_key", "job_name", "release", "platform"), "job_key")
        .join(tests.where("not is_verdict").select("test_key", "test_name"), "test_key")
        .join(failures, [*entity, "prediction_date"], "left")
        .withColumn("model_name", F.lit("test_failure"))
        .select(TABLE.column_names)
    )
