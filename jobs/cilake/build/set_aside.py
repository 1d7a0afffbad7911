"""What a build leaves out of the decoded payloads, and puts in quarantine with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyiceberg.catalog import Catalog

from cilake.errors import PermanentError
from cilake.landing.quarantine import append_quarantine
from cilake.log import logger
from cilake.transforms.core import ci_jobs, ci_run_observations, tests
from cilake.transforms.engines import Engine, Rows

MAX_QUARANTINED = 10_000
"""How many parts of payloads one build puts in quarantine at most, of each kind: the rest repeats itself."""
MANY_REFUSED = 10
"""Below so many refused payloads no share of them stops a build: a quiet night may hold bad tabs alone."""
_PAYLOAD = "source, endpoint, natural_id, landed_date"
_KINDS = {
    "refused": ("decoded WHERE reject_reason IS NOT NULL", "coalesce(build_id, '')", "reject_reason"),
    "job": ("taken_jobs", "job_name", "reason"),
    "test": ("taken_tests", "test_name", "reason"),
    "run": ("taken_runs", "build_id", "reason"),
}
_PARTS = " UNION ALL ".join(
    f"(SELECT {_PAYLOAD}, {part} AS part, {reason} AS reason, '{kind}' AS kind"  # noqa: S608 - names are ours
    f" FROM {rows} LIMIT {MAX_QUARANTINED})"
    for kind, (rows, part, reason) in _KINDS.items()
)
"""What is left out, of each kind so much as goes into quarantine."""
_REFUSED = f"""
WITH by_payload AS (
    SELECT count_if(reject_reason IS NULL OR test_names IS NULL) AS run_count,
        count_if(reject_reason IS NOT NULL AND test_names IS NULL) AS refused_runs,
        sum(CASE WHEN test_names IS NOT NULL THEN size(test_names) END) AS test_count,
        count_if(reject_reason IS NOT NULL AND test_names IS NOT NULL) AS refused_tests
    FROM decoded GROUP BY {_PAYLOAD}
)
SELECT count(*) AS payload_count,
    count_if(2 * refused_runs > run_count OR 2 * refused_tests > test_count) AS refused_count
FROM by_payload
"""  # noqa: S608 - names are ours
"""Payloads of which most runs or most tests are refused: a table may show few runs of very many tests."""


class NotHereError(Exception):
    """What payloads show is for Spark: it is too much, or something in it is odd."""


class FormatError(PermanentError):
    """So much of the payloads cannot be read that they are no longer what the decoder knows."""


@dataclass(slots=True)
class Tally:
    """How many payloads a build has in all its rounds, and how many were refused until now."""

    payload_count: int
    refused_count: int = 0


def set_aside_unreadable(
    engine: Engine[Rows],
    catalog: Catalog,
    decoded: Rows,
    published: Mapping[str, Rows],
    tally: Tally,
    *,
    limit: float,
    has_results: bool = True,
) -> Rows:
    """Return the runs that can be built; put in quarantine what of the payloads cannot.

    That is what the decoder refuses, and runs, jobs and tests whose key belongs to another one: their results
    would be counted under it. ``published`` are the core tables by name.

    Raises:
        NotHereError: when results are to be left out of runs that are here without them.
        FormatError: when of more than the share ``limit`` of many payloads the decoder refuses more than it
            reads; it is in quarantine, and nothing more is built.

    """
    runs = _leave_out_refused(engine, decoded)
    taken_jobs = ci_jobs.find_collisions(engine, decoded=runs, ci_jobs=published["ci_jobs"])
    taken_tests = tests.find_collisions(engine, decoded=runs, tests=published["tests"])
    of_runs = engine.sql(
        "SELECT /*+ BROADCAST(shown) */ held.run_key, held.job_key, held.build_id FROM observations AS held"
        " SEMI JOIN (SELECT DISTINCT run_key FROM runs) AS shown ON held.run_key = shown.run_key",
        observations=published["ci_run_observations"],
        runs=runs,
    )
    taken_runs = ci_run_observations.find_collisions(engine, decoded=runs, observations=of_runs)
    parts = engine.sql(
        _PARTS,
        decoded=decoded,
        taken_jobs=taken_jobs,
        taken_tests=taken_tests,
        taken_runs=taken_runs,
    )
    rows = engine.to_arrow(parts).to_pylist()
    found = {row["kind"] for row in rows}
    if "test" in found and not has_results:
        raise NotHereError("a name of a test has the key of another one")
    _append(catalog, rows, "cannot be read")
    if "refused" in found:
        _require_share(engine, decoded, tally, limit)
    rest = runs
    if "job" in found:
        rest = ci_jobs.leave_out_collisions(engine, rest, engine.compute(taken_jobs))
    if "test" in found:
        rest = tests.leave_out_collisions(engine, rest, engine.compute(taken_tests))
    if "run" in found:
        rest = ci_run_observations.leave_out_collisions(engine, rest, engine.compute(taken_runs))
    return tests.keep_names(engine, runs, rest) if found & {"job", "run"} else rest


def _leave_out_refused(engine: Engine[Rows], decoded: Rows) -> Rows:
    refused = engine.sql(
        "SELECT 1 AS one FROM decoded WHERE reject_reason IS NOT NULL LIMIT 1", decoded=decoded
    )
    if not engine.to_arrow(refused).num_rows:
        return decoded  # and no copy of it, which would be large
    return engine.sql("SELECT * FROM decoded WHERE reject_reason IS NULL", decoded=decoded)


def _require_share(engine: Engine[Rows], decoded: Rows, tally: Tally, limit: float) -> None:
    counted = engine.to_arrow(engine.sql(_REFUSED, decoded=decoded)).to_pylist()[0]
    tally.refused_count += counted["refused_count"]
    refused, every = tally.refused_count, max(tally.payload_count, counted["payload_count"])
    if refused >= MANY_REFUSED and refused > limit * every:
        raise FormatError(
            f"{refused:,} of {every:,} payloads cannot be read for the most part, more than {limit:.0%}: "
            "the format has changed; ops.quarantine has the reasons. Correct the decoder and run again: "
            "nothing is lost"
        )


def set_aside_runs(engine: Engine[Rows], catalog: Catalog, decoded: Rows, broken: Rows) -> Rows:
    """Return the decoded runs without those in ``broken``, which go to quarantine.

    ``broken`` has the key of each run and the ``reason``.
    """
    parts = engine.sql(
        f"SELECT DISTINCT decoded.run_key, {_PAYLOAD}, build_id AS part, reason"  # noqa: S608 - names are ours
        f" FROM decoded JOIN broken ON decoded.run_key = broken.run_key LIMIT {MAX_QUARANTINED}",
        decoded=decoded,
        broken=broken,
    )
    _append(catalog, engine.to_arrow(parts).to_pylist(), "have a row that breaks a rule")
    rest = engine.sql(
        "SELECT decoded.* FROM decoded ANTI JOIN broken ON decoded.run_key = broken.run_key",
        decoded=decoded,
        broken=broken,
    )
    return tests.keep_names(engine, decoded, rest)


def _append(catalog: Catalog, parts: list[dict[str, Any]], fault: str) -> None:
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
        logger.warning(f"payloads: {len(rows):,}{bound} parts {fault}, {new:,} are new in ops.quarantine")
