"""What a decision may see: results and runs as known when a day's landing was done, of pinned snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.build.half_published import is_half_published
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.registry import table as contract
from cilake.errors import CilakeError
from cilake.lake.snapshots import Pins, pin
from cilake.sources.registry import precedence
from cilake.transforms.core import ci_runs, test_results
from cilake.transforms.core.ci_run_observations import SLIM, select_standing
from cilake.transforms.core.tests import leave_out_verdicts
from cilake.windows import day_start, known_until

HISTORY_DAYS = 120
RESULT_COLUMNS = ("run_key", "job_key", "test_key", "started_at", "test_status")
RUN_COLUMNS = (
    "run_key", "job_key", "started_at", "test_count", "passed_count", "failed_count", "flaky_count"
)  # fmt: skip
LOOKS = 3
"""How often is looked whether the inputs stand still."""
RESULTS_PER_BUCKET = 1_500_000
"""All results of a test are in one bucket, so that a worker can make its features; this many fit into one."""
LEAST_BUCKETS = 2


def known_by(day: date) -> Column:
    """Return the condition that an observation was known to the decisions of a day.

    A landing up to that day brought it, and not a later backfill of such a day.
    """
    return (F.col("landed_date") <= F.lit(day)) & (F.col("seen_at") <= F.lit(known_until(day)))


def pin_history(catalog: Catalog, inputs: Iterable[str]) -> Pins:
    """Look up snapshots of the tables at some addresses that one build has left; return them.

    Raises:
        CilakeError: while a build publishes, or after one was killed in between.

    """
    pinned = [contract(address) for address in inputs]
    for _ in range(LOOKS):
        pins = pin(catalog, *pinned)
        if not is_half_published(catalog) and pin(catalog, *pinned) == pins:
            return pins
    raise CilakeError(
        "core.test_results and core.ci_runs are of different builds: one publishes just now, or was killed; "
        "run again when it is done, or `cilake build core_ci`"
    )


def read_history(spark: SparkSession, pins: Pins, day: date) -> tuple[DataFrame, DataFrame]:
    """Return results of tests and runs that had started by the end of ``day``, as they were known then.

    Training and scoring look back the same number of days, so a feature means the same in both.
    """
    until = day_start(day + timedelta(days=1))
    since = day - timedelta(days=HISTORY_DAYS)
    in_reach = (F.col("run_date") >= F.lit(since)) & (F.col("started_at") < F.lit(until))
    runs = pins.read(spark, CI_RUNS).where(in_reach).select(*RUN_COLUMNS)
    results = pins.read(spark, TEST_RESULTS).where(in_reach).select(*RESULT_COLUMNS)
    observations = pins.read(spark, OBSERVATIONS)
    since_changed = observations.where(~known_by(day)).select("run_key").distinct()
    if not since_changed.isEmpty():
        known = observations.where(known_by(day)).join(since_changed, "run_key", "left_semi")
        stood = select_standing(known.select(*SLIM), precedence())
        then_runs = ci_runs.transform(stood, known).where(in_reach).select(*RUN_COLUMNS)
        then_results = test_results.transform(stood, known).where(in_reach).select(*RESULT_COLUMNS)
        runs = runs.join(since_changed, "run_key", "left_anti").unionByName(then_runs)
        results = results.join(since_changed, "run_key", "left_anti").unionByName(then_results)
    of_runs = results.join(F.broadcast(runs.select("run_key")), "run_key", "left_semi")
    of_tests = leave_out_verdicts(of_runs, spark.table(TESTS.identifier))
    return of_tests.select(*RESULT_COLUMNS), runs


def bucket_of(runs: pa.Table) -> Column:
    """Return the bucket of a result: as many buckets as the results of ``runs`` need, whole tests in each."""
    return F.pmod("test_key", F.lit(max(LEAST_BUCKETS, -(-count_results(runs) // RESULTS_PER_BUCKET))))


def count_results(runs: pa.Table) -> int:
    """Return how many results of tests the runs have."""
    return int(pc.sum(runs["test_count"]).as_py() or 0)
