"""What a build leaves out of the decoded payloads, and puts in quarantine with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.errors import PermanentError
from cilake.landing.quarantine import append_quarantine
from cilake.log import logger
from cilake.transforms.core import ci_jobs, ci_run_observations, tests

MAX_QUARANTINED = 10_000
"""How many parts of payloads one build puts in quarantine at most, of each kind: the rest repeats itself."""
MANY_REFUSED = 10
"""Below so many refused payloads no share of them stops a build: a quiet night may hold bad tabs alone."""
_PAYLOAD = ("source", "endpoint", "natural_id", "landed_date")


class FormatError(PermanentError):
    """So much of the payloads cannot be read that they are no longer what the decoder knows."""


@dataclass(slots=True)
class Tally:
    """How many payloads a build has in all its rounds, and how many were refused until now."""

    payload_count: int
    refused_count: int = 0


def set_aside_unreadable(
    spark: SparkSession, catalog: Catalog, decoded: DataFrame, tally: Tally, *, limit: float
) -> DataFrame:
    """Return the runs that can be built; put in quarantine what of the payloads cannot.

    That is what the decoder refuses, and runs, jobs and tests whose key belongs to another one: their results
    would be counted under it.

    Raises:
        FormatError: when of more than the share ``limit`` of many payloads the decoder refuses more than it
            reads; it is in quarantine, and nothing more is built.

    """
    runs = decoded.where("reject_reason IS NULL")
    taken_jobs = ci_jobs.collisions(runs, spark.table(CI_JOBS.identifier))
    taken_tests = tests.collisions(runs, spark.table(TESTS.identifier))
    keys = F.broadcast(runs.select("run_key").distinct())
    published = spark.table(OBSERVATIONS.identifier).join(keys, "run_key", "left_semi")
    taken_runs = ci_run_observations.collisions(runs, published)
    refused = decoded.where("reject_reason IS NOT NULL").select(
        *_PAYLOAD, F.coalesce("build_id", F.lit("")).alias("part"), F.col("reject_reason").alias("reason")
    )
    parts = [
        refused,
        taken_jobs.select(*_PAYLOAD, F.col("job_name").alias("part"), "reason"),
        taken_tests.select(*_PAYLOAD, F.col("test_name").alias("part"), "reason"),
        taken_runs.select(*_PAYLOAD, F.col("build_id").alias("part"), "reason"),
    ]
    kinds = [part.limit(MAX_QUARANTINED).withColumn("kind", F.lit(kind)) for kind, part in enumerate(parts)]
    rows = reduce(DataFrame.unionByName, kinds).collect()
    found = [[row for row in rows if row["kind"] == kind] for kind in range(len(parts))]
    _append(catalog, rows, "cannot be read")
    if found[0]:
        _require_share(decoded, tally, limit)
    rest = runs
    # Checkpoints, as the plan would grow deeper than the protocol of Spark Connect takes.
    if found[1]:
        rest = ci_jobs.leave_out_collisions(rest, taken_jobs.localCheckpoint())
    if found[2]:
        rest = tests.leave_out_collisions(rest, taken_tests.localCheckpoint())
    if found[3]:
        rest = ci_run_observations.leave_out_collisions(rest, taken_runs.localCheckpoint())
    return tests.keep_names(runs, rest) if found[1] or found[3] else rest


def _require_share(decoded: DataFrame, tally: Tally, limit: float) -> None:
    by_payload = decoded.groupBy(*_PAYLOAD).agg(
        (2 * F.count("reject_reason") > F.count("*")).alias("is_refused")
    )
    here, refused_here = by_payload.agg(F.count("*"), F.count_if("is_refused")).collect()[0]
    tally.refused_count += refused_here
    refused, every = tally.refused_count, max(tally.payload_count, here)
    if refused >= MANY_REFUSED and refused > limit * every:
        raise FormatError(
            f"{refused:,} of {every:,} payloads cannot be read for the most part, more than {limit:.0%}: "
            "the format has changed; ops.quarantine has the reasons. Correct the decoder and run again: "
            "nothing is lost"
        )


def set_aside_runs(catalog: Catalog, decoded: DataFrame, broken: DataFrame) -> DataFrame:
    """Return the decoded runs without those in ``broken``, which go to quarantine.

    ``broken`` has the key of each run and the ``reason``.
    """
    in_payloads = decoded.select("run_key", *_PAYLOAD, F.col("build_id").alias("part")).distinct()
    parts = in_payloads.join(F.broadcast(broken), "run_key").limit(MAX_QUARANTINED).collect()
    _append(catalog, parts, "have a row that breaks a rule")
    rest = decoded.join(F.broadcast(broken.select("run_key")), "run_key", "left_anti")
    return tests.keep_names(decoded, rest)


def _append(catalog: Catalog, parts: list[Row], fault: str) -> None:
    """Quarantine parts of payloads: rows of the names of payloads, ``part`` and ``reason``."""
    rows: list[dict[str, object]] = [
        {
            "source": row["source"],
            "endpoint": row["endpoint"],
            "natural_id": row["natural_id"],
            "partition_date": row["landed_date"],
            "part": row["part"],
            "landing_id": f"{row['source']}-{row['landed_date']}",
            "reason": row["reason"],
        }
        for row in parts
    ]
    if rows:
        new = append_quarantine(catalog, rows)
        bound = " or more" if len(rows) >= MAX_QUARANTINED else ""
        logger.warning(f"{len(rows):,}{bound} parts of payloads {fault}, {new:,} are new in ops.quarantine")
