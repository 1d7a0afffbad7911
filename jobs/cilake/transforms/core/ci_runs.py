"""Runs: of each the current observation."""

from __future__ import annotations

from cilake.contracts.core.ci_runs import TABLE
from cilake.transforms.core.ci_run_observations import KEY
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import equal, of

_COMPARED = ("content_hash", "decoder_version", "known_at", "landed_date")
"""What makes a published run out of date for a build when it differs."""
_OF_STANDING = ("known_at", "landed_date")
_SHOWN = [name for name in TABLE.column_names if name not in _OF_STANDING]
_RUNS = f"""
SELECT /*+ BROADCAST(standing) */ {of("standing", _OF_STANDING)}, {of("shown", _SHOWN)}
FROM observations AS shown JOIN standing ON {equal("shown", "standing", KEY)}
"""
_WITH_OLD = """
SELECT standing.*, ci_runs.run_date AS old_run_date
FROM standing LEFT JOIN ci_runs ON standing.run_key = ci_runs.run_key
"""
_UNLIKE = " OR ".join(f"standing.{name} IS DISTINCT FROM ci_runs.{name}" for name in _COMPARED)


def transform(engine: Engine[Rows], *, standing: Rows, observations: Rows) -> Rows:
    """Return the rows of ``core.ci_runs`` from the current keys and the observations that have them."""
    return engine.sql(_RUNS, standing=standing, observations=observations)


def select_changed(engine: Engine[Rows], *, standing: Rows, ci_runs: Rows) -> Rows:
    """Return the standing rows unlike the published runs, with ``old_run_date``: null for a new run."""
    return engine.sql(f"{_WITH_OLD} WHERE {_UNLIKE}", standing=standing, ci_runs=ci_runs)


def with_old_date(engine: Engine[Rows], *, standing: Rows, ci_runs: Rows) -> Rows:
    """Return all standing rows, with ``old_run_date``: null for a new run."""
    return engine.sql(_WITH_OLD, standing=standing, ci_runs=ci_runs)
