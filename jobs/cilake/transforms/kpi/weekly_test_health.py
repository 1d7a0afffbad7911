"""Weekly test health: results, flakes, flips and failing stretches of each test in each job."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from cilake.contracts.columns import FAILING, PASSING
from cilake.contracts.kpi.weekly_test_health import LOOKBACK_DAYS, TABLE
from cilake.transforms.core.tests import leave_out_verdicts
from cilake.transforms.stretches import RESULTS, WEEKS, summarise_weeks

__all__ = ["LOOKBACK_DAYS", "TABLE", "transform"]

TEST_BUCKETS = 4
"""In so many parts the tests of a job are summarised: a worker holds one part of its results at a time."""
_PAGES = {
    "started_failing_run_url": "start_key",
    "last_good_run_url": "good_key",
    "last_failed_run_url": "failed_key",
}
_INSTANTS = {
    "started_failing_at": "start_micros",
    "last_good_at": "good_micros",
    "last_failed_at": "failed_micros",
}


def transform(
    *, ci_runs: DataFrame, ci_jobs: DataFrame, tests: DataFrame, test_results: DataFrame
) -> DataFrame:
    """Return the rows of ``kpi.weekly_test_health`` for the weeks of the given results.

    They are right for weeks of which the results and runs are there, and those of ``LOOKBACK_DAYS`` before.
    """
    ran = (
        leave_out_verdicts(test_results, tests)
        .where(F.col("test_status").isin(*PASSING, *FAILING, "flaky"))
        .withColumns(
            {
                "started_micros": F.unix_micros("started_at"),
                "has_failed": F.col("test_status").isin(*FAILING),
                "is_flaky": F.col("test_status") == "flaky",
            }
        )
        .select(RESULTS.names)
    )
    described = (
        ran.groupBy("job_key", F.pmod("test_key", F.lit(TEST_BUCKETS)))
        .applyInArrow(summarise_weeks, from_arrow_schema(WEEKS))
        .withColumns({name: F.timestamp_micros(micros) for name, micros in _INSTANTS.items()})
        .join(F.broadcast(ci_jobs.select("job_key", "job_name", "release", "platform")), "job_key")
        .join(tests.select("test_key", "test_name"), "test_key")
    )
    for name, run_key in _PAGES.items():
        page = ci_runs.select(F.col("run_key").alias(run_key), F.col("run_url").alias(name))
        described = described.join(page, run_key, "left")
    return described.select(TABLE.column_names)
