"""What a build leaves out of the decoded payloads, and puts in quarantine with the reason."""

from __future__ import annotations

from itertools import chain

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from cilake.apps.progress import say
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.landing.quarantine import append_quarantine
from cilake.transforms.core import ci_jobs, tests

MAX_QUARANTINED = 10_000
"""How many parts of payloads one build puts in quarantine at most, of each kind: the rest repeats itself."""
_PAYLOAD = ("natural_id", "landed_date")


def set_aside_unreadable(spark: SparkSession, catalog: Catalog, decoded: DataFrame) -> DataFrame:
    """Return the runs that can be built; put in quarantine what of the payloads cannot.

    That is what the decoder refuses, and jobs and tests with a name whose key belongs to another name: their
    results would be counted under it.
    """
    runs = decoded.where("reject_reason IS NULL")
    taken_jobs = ci_jobs.collisions(runs, spark.table(CI_JOBS.identifier))
    taken_tests = tests.collisions(runs, spark.table(TESTS.identifier))
    parts = [
        decoded.where("reject_reason IS NOT NULL").select(
            *_PAYLOAD, F.coalesce("build_id", F.lit("")).alias("part"), F.col("reject_reason").alias("reason")
        ),
        taken_jobs.select(*_PAYLOAD, F.col("job_name").alias("part"), "reason"),
        taken_tests.select(*_PAYLOAD, F.col("test_name").alias("part"), "reason"),
    ]
    found = [part.limit(MAX_QUARANTINED).collect() for part in parts]
    _append(catalog, list(chain.from_iterable(found)), "cannot be read")
    if found[1]:
        runs = ci_jobs.leave_out_collisions(runs, taken_jobs)
    if found[2]:
        runs = tests.leave_out_collisions(runs, taken_tests)
    return runs


def set_aside_runs(catalog: Catalog, decoded: DataFrame, broken: DataFrame) -> DataFrame:
    """Return the decoded runs without those in ``broken``, which go to quarantine.

    ``broken`` has the key of each run and the ``reason``.
    """
    in_payloads = decoded.select("run_key", *_PAYLOAD, F.col("build_id").alias("part")).distinct()
    parts = in_payloads.join(F.broadcast(broken), "run_key").limit(MAX_QUARANTINED).collect()
    _append(catalog, parts, "have a row that breaks a rule")
    return decoded.join(F.broadcast(broken.select("run_key")), "run_key", "left_anti")


def _append(catalog: Catalog, parts: list[Row], fault: str) -> None:
    """Quarantine parts of payloads: rows of ``natural_id``, ``landed_date``, ``part`` and ``reason``."""
    rows: list[dict[str, object]] = [
        {
            "source": "testgrid",
            "endpoint": "table",
            "natural_id": row["natural_id"],
            "partition_date": row["landed_date"],
            "part": row["part"],
            "landing_id": f"testgrid-{row['landed_date']}",
            "reason": row["reason"],
        }
        for row in parts
    ]
    if rows:
        new = append_quarantine(catalog, rows)
        bound = " or more" if len(rows) >= MAX_QUARANTINED else ""
        say(f"{len(rows):,}{bound} parts of payloads {fault}, {new:,} are new in ops.quarantine")
