"""Weekly test health: results, flakes, flips and failing stretches of each test in each job."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from cilake.contracts.columns import FAILING, PASSING
from cilake.contracts.kpi.weekly_test_health import TABLE
from cilake.windows import mondays

LOOKBACK_DAYS = 14
"""How far before a result its predecessors are looked for, whatever else is at hand."""


def affected_weeks(days: list[date]) -> list[date]:
    """The Mondays of all weeks whose rows depend on results of these days."""
    later = range(0, LOOKBACK_DAYS + 1, 7)
    return sorted({monday + timedelta(days=offset) for monday in mondays(days) for offset in later})


def transform(
    results: DataFrame, runs: DataFrame, jobs: DataFrame, tests: DataFrame, *, weeks: list[date]
) -> DataFrame:
    """Rows of ``kpi.weekly_test_health`` for these weeks (Mondays).

    ``results`` and ``runs`` reach from ``LOOKBACK_DAYS`` before the first week to the end of the last; what
    they hold before that changes nothing.
    """
    ran = results.where(F.col("test_status").isin(*PASSING, *FAILING, "flaky")).select(
        "job_key",
        "test_key",
        F.to_date(F.date_trunc("week", F.col("run_date"))).alias("week_date"),
        "run_key",
        "started_at",
        F.col("test_status").isin(*FAILING).alias("failed"),
        (F.col("test_status") == "flaky").alias("flaky"),
    )
    of_weeks = F.col("week_date").isin(weeks)
    counts = (
        ran.where(of_weeks)
        .groupBy("job_key", "test_key", "week_date")
        .agg(
            F.count("*").alias("result_count"),
            F.count_if(~F.col("failed") & ~F.col("flaky")).alias("passed_count"),
            F.count_if("failed").alias("failed_count"),
            F.count_if("flaky").alias("flaky_count"),
        )
    )
    # Most tests only pass: just the others have an order worth looking at.
    eventful = ran.where("failed").select("job_key", "test_key").distinct()
    sequences = ran.join(F.broadcast(eventful), ["job_key", "test_key"])
    stretches = _stretches(sequences).where(of_weeks).groupBy("job_key", "test_key", "week_date")
    events = stretches.agg(
        *[F.count_if(flag).alias(name) for name, flag in _EVENTS.items()],
        F.sum(F.when(F.col("ends"), _seconds("started_at", "failing_since"))).alias("fix_seconds"),
        F.max(F.when(F.col("failed"), F.struct("started_at", "run_key"))).alias("last_failed"),
    )
    pages = runs.select(
        F.col("run_key").alias("failed_run_key"), F.col("run_url").alias("last_failed_run_url")
    )
    return (
        counts.join(events, ["job_key", "test_key", "week_date"], "left")
        .fillna(0, [*_EVENTS, "fix_seconds"])
        .withColumn("last_failed_at", F.col("last_failed.started_at"))
        .join(F.broadcast(pages), F.col("last_failed.run_key") == F.col("failed_run_key"), "left")
        .join(F.broadcast(jobs.select("job_key", "job_name", "release", "platform")), "job_key")
        .join(F.broadcast(tests), "test_key")
        .select(TABLE.column_names)
    )


_EVENTS = {
    "broken_count": "breaks",
    "fixed_count": "ends",
    "stretch_count": "begins",
    "long_stretch_count": "is_second",
    "persistent_stretch_count": "is_third",
}


def _stretches(sequences: DataFrame) -> DataFrame:
    """Each result with its part in a failing stretch, and when the stretch before it began."""
    of_test = Window.partitionBy("job_key", "test_key").orderBy("started_at", "run_key")
    lookback = F.expr(f"INTERVAL {LOOKBACK_DAYS} DAYS")

    def failed_before(back: int) -> Column:
        is_near = F.lag("started_at", back).over(of_test) >= F.col("started_at") - lookback
        return F.when(is_near, F.lag("failed", back).over(of_test)).alias(f"failed_{back}")

    # Whether the three results before it failed; null before the first one, which can neither break nor flip.
    ordered = sequences.select(
        "*", F.unix_micros("started_at").alias("started_micros"), *map(failed_before, (1, 2, 3))
    )
    was_failing = F.coalesce("failed_1", F.lit(False))
    goes_on = F.col("failed") & was_failing
    begins = F.col("failed") & ~was_failing
    until_now = (
        Window.partitionBy("job_key", "test_key")
        .orderBy("started_micros")
        .rangeBetween(-LOOKBACK_DAYS * 86_400_000_000, Window.currentRow)
    )
    # A stretch that began earlier is counted from its first failure in reach.
    began = F.max(F.when(begins, F.col("started_at"))).over(until_now)
    first_failed = F.min(F.when(F.col("failed"), F.col("started_at"))).over(until_now)
    return ordered.withColumns(
        {
            "begins": begins,
            "ends": ~F.col("failed") & was_failing,
            "breaks": begins & F.col("failed_1").isNotNull(),
            "is_second": goes_on & ~F.coalesce("failed_2", F.lit(False)),
            "is_third": goes_on & F.col("failed_2") & ~F.col("failed_3"),
            "failing_since": F.coalesce(began, first_failed),
        }
    )


def _seconds(until: str, since: str) -> Column:
    return (F.unix_micros(until) - F.unix_micros(since)) / 1e6
