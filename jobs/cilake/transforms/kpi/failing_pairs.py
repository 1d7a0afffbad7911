"""Failing pairs: tests that fail in the same runs, week by week."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.columns import FAILING, UNDECIDED
from cilake.contracts.kpi.failing_pairs import TABLE
from cilake.transforms.core.tests import leave_out_verdicts

MOST_FAILURES = 100
"""A run with more failing tests broke as a whole; its pairs would outnumber all others."""
LEAST_TOGETHER = 3
LEAST_CORRELATION = 0.5


def transform(*, ci_runs: DataFrame, tests: DataFrame, test_results: DataFrame) -> DataFrame:
    """Return the rows of ``kpi.failing_pairs`` for the weeks that results and runs hold in full.

    A pair is counted over the runs of the jobs in which both tests ran: those of other jobs, in which neither
    can fail, would make any two tests look alike.
    """
    week = F.to_date(F.date_trunc("week", F.col("run_date"))).alias("week_date")
    results = leave_out_verdicts(test_results, tests)
    failures = (
        results.where(F.col("test_status").isin(*FAILING))
        .groupBy("run_key")
        .agg(F.collect_set("test_key").alias("test_keys"))
    )
    counted = ci_runs.join(failures, "run_key", "left").where(
        F.col("test_keys").isNull() | (F.size("test_keys") <= MOST_FAILURES)
    )
    failed = counted.select(
        week,
        "job_key",
        F.explode("test_keys").alias("test_key"),
        "test_keys",
        F.struct("started_at", "run_key", "run_url").alias("run"),
    )
    together = (
        failed.select("week_date", "test_key", F.explode("test_keys").alias("other_test_key"), "run")
        .where("test_key <> other_test_key")
        .groupBy("week_date", "test_key", "other_test_key")
        .agg(F.count("*").alias("together_count"), F.max("run").alias("last_run"))
        .where(F.col("together_count") >= LEAST_TOGETHER)
    )
    other_tests = tests.select(
        F.col("test_key").alias("other_test_key"), F.col("test_name").alias("other_test_name")
    )
    return (
        _count_in_shared_jobs(together, _count_by_job(results, counted, failed, week))
        .withColumn("failure_correlation", _correlation())
        .where(F.col("failure_correlation") >= LEAST_CORRELATION)
        .join(tests, "test_key")
        .join(other_tests, "other_test_key")
        .withColumn("last_together_at", F.col("last_run.started_at"))
        .withColumn("last_together_run_url", F.col("last_run.run_url"))
        .select(TABLE.column_names)
    )


def _count_by_job(results: DataFrame, counted: DataFrame, failed: DataFrame, week: Column) -> DataFrame:
    """Return for each week, test and job in which it ran: runs of the job, and those in which it failed."""
    ran = results.where(~F.col("test_status").isin(*UNDECIDED)).select(week, "job_key", "test_key").distinct()
    run_counts = counted.groupBy(week, "job_key").agg(F.count("*").alias("run_count"))
    failed_counts = failed.groupBy("week_date", "job_key", "test_key").agg(F.count("*").alias("failed_count"))
    return (
        ran.join(run_counts, ["week_date", "job_key"])
        .join(failed_counts, ["week_date", "job_key", "test_key"], "left")
        .fillna(0, ["failed_count"])
    )


def _count_in_shared_jobs(together: DataFrame, by_job: DataFrame) -> DataFrame:
    """Return the pairs with their runs and failures in the jobs that ran both tests."""
    others = by_job.select(
        "week_date",
        "job_key",
        F.col("test_key").alias("other_test_key"),
        F.col("failed_count").alias("other_failed_count"),
    )
    return (
        together.join(by_job, ["week_date", "test_key"])
        .join(others, ["week_date", "other_test_key", "job_key"])
        .groupBy("week_date", "test_key", "other_test_key")
        .agg(
            *(F.first(name).alias(name) for name in ("together_count", "last_run")),
            *(F.sum(name).alias(name) for name in ("run_count", "failed_count", "other_failed_count")),
        )
    )


def _correlation() -> Column:
    """Pearson's coefficient of two binary columns, from their counts; null where one never varies."""
    both, one, other, count = (
        F.col(name).cast("double")
        for name in ("together_count", "failed_count", "other_failed_count", "run_count")
    )
    spread = F.sqrt(one * (count - one) * other * (count - other))
    return (count * both - one * other) / F.nullif(spread, F.lit(0.0))
