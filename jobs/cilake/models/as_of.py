"""What a decision may see: results and runs as known when a day's landing was done, of pinned snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.build.half_published import is_half_published
from cilake.build.inputs import open_inputs
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
from cilake.transforms.engines import Engine, SparkEngine
from cilake.transforms.words import RESULTS_OF_TESTS
from cilake.windows import known_until

HISTORY_DAYS = 120
RUNS = """
SELECT run_key, job_key, started_at, test_count, passed_count, failed_count, flaky_count FROM ci_runs
"""
RESULTS = f"""
SELECT run_key, job_key, test_key, started_at, test_status FROM (
    SELECT /*+ BROADCAST(runs) */ results.* FROM {RESULTS_OF_TESTS} AS results
    SEMI JOIN (SELECT run_key FROM ci_runs) AS runs ON results.run_key = runs.run_key
)
"""
HISTORY = (CI_RUNS, TEST_RESULTS, OBSERVATIONS, TESTS)
"""The tables that ``read_history`` reads."""
LOOKS = 3
"""How often it is checked whether the inputs have stopped changing."""
RESULTS_PER_BUCKET = 1_500_000
"""All results of a test are in one bucket, so that a worker can make its features; this many fit into one."""
MIN_BUCKETS = 2


@dataclass(frozen=True, slots=True)
class History:
    """Results and runs that had started by the end of ``day``, as they were known then.

    ``results`` are rows of the ``engine``, runs a table.
    """

    day: date
    engine: Engine[Any]
    results: Any
    runs: pa.Table


def known_by(day: date) -> str:
    """Return the SQL condition that an observation was known to the decisions of a day.

    A landing up to that day brought it, and not a later backfill of such a day.
    """
    until = int(known_until(day).timestamp()) * 1_000_000
    return f"(landed_date <= DATE '{day}' AND unix_micros(seen_at) <= {until})"


def pin_history(catalog: Catalog, inputs: Iterable[str]) -> Pins:
    """Look up snapshots that one build has left of the ``HISTORY`` and of other inputs; return them.

    Raises:
        CilakeError: while a build publishes, or after one was killed in between.

    """
    pinned = dict.fromkeys([*HISTORY, *map(contract, inputs)])
    for _ in range(LOOKS):
        pins = pin(catalog, *pinned)
        if not is_half_published(catalog) and pin(catalog, *pinned) == pins:
            return pins
    raise CilakeError(
        "core.test_results and core.ci_runs are of different builds: one publishes just now, or was killed; "
        "run again when it is done, or `cilake build core_ci`"
    )


def read_history(spark: SparkSession, catalog: Catalog, pins: Pins, day: date) -> History:
    """Return what a decision at the end of a day may see.

    Training and scoring look back the same number of days, so a feature means the same in both.
    """
    days = [day - timedelta(days=back) for back in range(HISTORY_DAYS + 1)]
    wanted = {
        "ci_runs": (CI_RUNS, days),
        "test_results": (TEST_RESULTS, days),
        "tests": (TESTS, None),
    }
    engine: Engine[Any]
    if _has_later(catalog, pins, day):
        engine, inputs = SparkEngine(spark), _as_known(spark, pins, day)
    else:
        engine, inputs = open_inputs(spark, catalog, pins, wanted)
    runs = engine.to_arrow(engine.sql(RUNS, ci_runs=inputs["ci_runs"]))
    return History(day, engine, engine.sql(RESULTS, **inputs), runs)


def _has_later(catalog: Catalog, pins: Pins, day: date) -> bool:
    """Return whether anything was observed that was not known to the decisions of a day."""
    later = catalog.load_table(OBSERVATIONS.address).scan(
        row_filter=f"landed_date > '{day}' or seen_at > '{known_until(day).isoformat()}'",
        selected_fields=("run_key",),
        snapshot_id=pins.of(OBSERVATIONS),
        limit=1,
    )
    return bool(later.to_arrow().num_rows)


def _as_known(spark: SparkSession, pins: Pins, day: date) -> dict[str, DataFrame]:
    """Return runs and results of which some are otherwise now than they were known by a day."""
    since = day - timedelta(days=HISTORY_DAYS)
    in_reach = F.col("run_date").between(F.lit(since), F.lit(day))
    observations = pins.read(spark, OBSERVATIONS)
    changed = observations.where(f"NOT {known_by(day)}").select("run_key").distinct()
    known = observations.where(known_by(day)).join(changed, "run_key", "left_semi")
    engine = SparkEngine(spark)
    stood = select_standing(engine, known.select(*SLIM), precedence())
    then = {
        table: transform(engine, standing=stood, observations=known)
        for table, transform in ((CI_RUNS, ci_runs.transform), (TEST_RESULTS, test_results.transform))
    }
    inputs = {"tests": pins.read(spark, TESTS)}
    for table, rows in then.items():
        same = pins.read(spark, table).join(changed, "run_key", "left_anti")
        columns = table.column_names
        inputs[table.name] = same.select(columns).unionByName(rows.select(columns)).where(in_reach)
    return inputs


def in_buckets(history: History) -> Any:
    """Return the results with their ``bucket``: as many as they need, all results of a test in one."""
    count = max(MIN_BUCKETS, -(-count_results(history.runs) // RESULTS_PER_BUCKET))
    bucket = f"((test_key % {count}) + {count}) % {count}"
    # A task of Spark sorts and returns what it is given at once: so each gets one bucket, or few.
    return history.engine.sql(
        f"""
        SELECT /*+ REPARTITION({count}, bucket) */ * FROM (SELECT *, {bucket} AS bucket FROM results)
        """,
        results=history.results,
    )


def count_results(runs: pa.Table) -> int:
    """Return how many results of tests the runs have."""
    return int(pc.sum(runs["test_count"]).as_py() or 0)
