"""Test results: those that the standing observation of each run holds."""

from __future__ import annotations

from cilake.transforms.core.ci_run_observations import KEY
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import equal

_RUNS = f"""
SELECT /*+ BROADCAST(standing) */
    shown.run_key, job_key, test_keys AS test_key, started_at, shown.run_date, test_statuses AS test_status,
    messages AS message, standing.known_at
FROM observations AS shown JOIN standing ON {equal("shown", "standing", KEY)}
"""


def transform(engine: Engine[Rows], *, standing: Rows, observations: Rows) -> Rows:
    """Return the rows of ``core.test_results``: one per test of the observations whose keys stand."""
    runs = engine.sql(_RUNS, standing=standing, observations=observations)
    return engine.explode(runs, ("test_key", "test_status", "message"))
