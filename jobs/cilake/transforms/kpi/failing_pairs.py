"""Failing pairs: tests that fail in the same runs, week by week."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.columns import FAILING
from cilake.contracts.kpi.failing_pairs import TABLE

MOST_FAILURES = 100
"""A run with more failing tests broke as a whole; its pairs would outnumber all others."""
LEAST_TOGETHER = 3
LEAST_CORRELATION = 0.5


def transform(results: DataFrame, runs: DataFrame, tests: DataFrame) -> DataFrame:
    """Rows of ``kpi.failing_pairs`` for the weeks that ``results`` and ``runs`` hold in full."""
    week = F.to_date(F.date_trunc("week", F.col("run_date"))).alias("week_date")
    run_counts = runs.groupBy(week).agg(F.count("*").alias("run_count"))
    failures = (
        results.where(F.col("test_status").isin(*FAILING))
        .groupBy(week, "run_key")
        .agg(F.collect_set("test_key").alias("test_keys"))
        .where(F.size("test_keys") <= MOST_FAILURES)
        .join(runs.select("run_key", F.struct("started_at", "run_key", "run_url").alias("run")), "run_key")
    )
    failed = failures.select("week_date", F.explode("test_keys").alias("test_key"), "test_keys", "run")
    failed_counts = failed.groupBy("week_date", "test_key").agg(F.count("*").alias("failed_count"))
    together = (
        failed.select("week_date", "test_key", F.explode("test_keys").alias("other_test_key"), "run")
        .where("test_key <> other_test_key")
        .groupBy("week_date", "test_key", "other_test_key")
        .agg(F.count("*").alias("together_count"), F.max("run").alias("last_run"))
        .where(F.col("together_count") >= LEAST_TOGETHER)
    )
    others = failed_counts.select(
        "week_date",
        F.col("test_key").alias("other_test_key"),
        F.col("failed_count").alias("other_failed_count"),
    )
    other_tests = tests.select(
        F.col("test_key").alias("other_test_key"), F.col("test_name").alias("other_test_name")
    )
    return (
        together.join(failed_counts, ["week_date", "test_key"])
        .join(others, ["week_date", "other_test_key"])
        .join(F.broadcast(run_counts), "week_date")
        .withColumn("failure_correlation", _correlation())
        .where(F.col("failure_correlation") >= LEAST_CORRELATION)
        .join(tests, "test_key")
        .join(other_tests, "other_test_key")
        .withColumn("last_together_at", F.col("last_run.started_at"))
        .withColumn("last_together_run_url", F.col("last_run.run_url"))
        .select(TABLE.column_names)
    )


def _correlation() -> Column:
    """Pearson's coefficient of two binary columns, from their counts; null where one never varies."""
    both, one, other, count = (
        F.col(name).cast("double")
        for name in ("together_count", "failed_count", "other_failed_count", "run_count")
    )
    spread = F.sqrt(one * (count - one) * other * (count - other))
    return (count * both - one * other) / F.nullif(spread, F.lit(0.0))
