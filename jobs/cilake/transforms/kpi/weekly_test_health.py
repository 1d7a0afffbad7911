"""Weekly test health: results, flakes, flips and failing stretches of each test in each job."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from cilake.contracts.columns import FAILING, PASSING
from cilake.contracts.kpi.weekly_test_health import LOOKBACK_DAYS, MIN_GOOD_BEFORE, TABLE
from cilake.transforms.core.tests import leave_out_verdicts


def transform(
    *, ci_runs: DataFrame, ci_jobs: DataFrame, tests: DataFrame, test_results: DataFrame
) -> DataFrame:
    """Return the rows of ``kpi.weekly_test_health`` for the weeks of the given results.

    They are right for weeks of which the results and runs are there, and those of ``LOOKBACK_DAYS`` before.
    """
    ran = (
        leave_out_verdicts(test_results, tests)
        .where(F.col("test_status").isin(*PASSING, *FAILING, "flaky"))
        .select(
            "job_key",
            "test_key",
            F.to_date(F.date_trunc("week", F.col("run_date"))).alias("week_date"),
            "run_key",
            "started_at",
            F.col("test_status").isin(*FAILING).alias("failed"),
            (F.col("test_status") == "flaky").alias("flaky"),
        )
    )
    counts = ran.groupBy("job_key", "test_key", "week_date").agg(
        F.count("*").alias("result_count"),
        F.count_if(~F.col("failed") & ~F.col("flaky")).alias("passed_count"),
        F.count_if("failed").alias("failed_count"),
        F.count_if("flaky").alias("flaky_count"),
    )
    # Most tests only pass: just the others have an order worth looking at.
    eventful = ran.where("failed").select("job_key", "test_key").distinct()
    sequences = ran.join(F.broadcast(eventful), ["job_key", "test_key"])
    of_week = Window.partitionBy("job_key", "test_key", "week_date")
    stretches = (
        _stretches(sequences)
        .withColumn("newest_start", F.max(F.when(F.col("starts_failing"), F.col("position"))).over(of_week))
        .groupBy("job_key", "test_key", "week_date")
    )
    since = F.col("position") >= F.col("newest_start")
    events = stretches.agg(
        *[F.count_if(flag).alias(name) for name, flag in _EVENTS.items()],
        F.sum(F.when(F.col("ends"), _seconds("started_at", "failing_since"))).alias("fix_seconds"),
        F.max(F.when(F.col("failed"), F.struct("started_at", "run_key"))).alias("last_failed"),
        F.max(
            F.when(
                F.col("starts_failing"), F.struct("started_at", "run_key", "good_before_count", "last_good")
            )
        ).alias("start"),
        F.when(F.max("newest_start").isNotNull(), F.count_if(since & F.col("failed"))).alias(
            "failed_since_count"
        ),
        F.when(F.max("newest_start").isNotNull(), F.count_if(since)).alias("result_since_count"),
        F.max_by("failed", F.struct("started_at", "run_key")).alias("is_failing"),
    )
    described = (
        counts.join(events, ["job_key", "test_key", "week_date"], "left")
        .fillna(0, [*_EVENTS, "fix_seconds"])
        .withColumns(
            {
                "is_failing": F.coalesce("is_failing", F.lit(False)),
                "started_failing_at": F.col("start.started_at"),
                "good_before_count": F.col("start.good_before_count"),
                "last_good_at": F.col("start.last_good.started_at"),
                "last_failed_at": F.col("last_failed.started_at"),
            }
        )
        .join(F.broadcast(ci_jobs.select("job_key", "job_name", "release", "platform")), "job_key")
        .join(tests.select("test_key", "test_name"), "test_key")
    )
    for name, run_key in _PAGES.items():
        page = ci_runs.select(F.col("run_key").alias(f"{name}_key"), F.col("run_url").alias(name))
        described = described.join(page, F.col(run_key) == F.col(f"{name}_key"), "left")
    return described.select(TABLE.column_names)


_EVENTS = {
    "broken_count": "breaks",
    "fixed_count": "ends",
    "stretch_count": "begins",
    "long_stretch_count": "is_second",
    "persistent_stretch_count": "is_third",
}

_START = ("started_at", "run_key", "good_before_count", "last_good")
_PAGES = {
    "started_failing_run_url": "start.run_key",
    "last_good_run_url": "start.last_good.run_key",
    "last_failed_run_url": "last_failed.run_key",
}


def _stretches(sequences: DataFrame) -> DataFrame:
    """Return each result with its part in a failing stretch, and when the stretch before it began."""
    of_test = Window.partitionBy("job_key", "test_key").orderBy("started_at", "run_key")
    lookback = F.expr(f"INTERVAL {LOOKBACK_DAYS} DAYS")

    def failed_before(back: int) -> Column:
        is_near = F.lag("started_at", back).over(of_test) >= F.col("started_at") - lookback
        return F.when(is_near, F.lag("failed", back).over(of_test)).alias(f"failed_{back}")

    # Whether the three results before it failed; null before the first one, which can neither break nor flip.
    ordered = sequences.select(
        "*",
        F.unix_micros("started_at").alias("started_micros"),
        F.row_number().over(of_test).alias("position"),
        F.lag(F.struct("started_at", "run_key")).over(of_test).alias("last_good"),
        *map(failed_before, (1, 2, 3)),
    )
    was_failing = F.coalesce("failed_1", F.lit(False))
    goes_on = F.col("failed") & was_failing
    begins = F.col("failed") & ~was_failing
    until_now = (
        Window.partitionBy("job_key", "test_key")
        .orderBy("started_micros")
        .rangeBetween(-LOOKBACK_DAYS * 86_400_000_000, Window.currentRow)
    )
    # Runs may start at the same instant: what came before one of them is told by the order, not by the time.
    up_to = of_test.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    before = of_test.rowsBetween(Window.unboundedPreceding, -1)
    # The results right before a failure that were none begin after the failure before it, or in reach.
    last_failure = F.max(F.when(F.col("failed"), F.col("position"))).over(before)
    before_reach = F.min("position").over(until_now) - 1
    # A stretch that began earlier is counted from its first failure in reach.
    last_began = F.max(F.when(begins, F.col("started_at"))).over(up_to)
    began = F.when(last_began >= F.col("started_at") - lookback, last_began)
    first_failed = F.min(F.when(F.col("failed"), F.col("started_at"))).over(until_now)
    good_before = F.col("position") - 1 - F.greatest(F.coalesce(last_failure, F.lit(0)), before_reach)
    breaks = begins & F.col("failed_1").isNotNull()
    return ordered.withColumns(
        {
            "begins": begins,
            "ends": ~F.col("failed") & was_failing,
            "breaks": breaks,
            "starts_failing": breaks & (good_before >= MIN_GOOD_BEFORE),
            "is_second": goes_on & ~F.coalesce("failed_2", F.lit(False)),
            "is_third": goes_on & F.col("failed_2") & ~F.col("failed_3"),
            "failing_since": F.coalesce(began, first_failed),
            "good_before_count": good_before.cast("bigint"),
        }
    )


def _seconds(until: str, since: str) -> Column:
    return (F.unix_micros(until) - F.unix_micros(since)) / 1e6
