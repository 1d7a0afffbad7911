"""Test results: those that the standing observation of each run holds."""

from __future__ import annotations

from cilake.contracts.core.test_results import TABLE
from cilake.transforms.core.ci_run_observations import KEY
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import equal

IN_OBSERVATIONS = {"test_key": "test_keys", "test_status": "test_statuses", "message": "messages"}
"""Columns with a value of one result, by those of observations that hold those of all."""
_COLUMNS = ", ".join(
    f"{'standing' if name == 'known_at' else 'shown'}.{IN_OBSERVATIONS.get(name, name)} AS {name}"
    for name in TABLE.column_names
)
_RUNS = f"""
SELECT /*+ BROADCAST(standing) */ {_COLUMNS}
FROM observations AS shown JOIN standing ON {equal("shown", "standing", KEY)}
"""


def transform(engine: Engine[Rows], *, standing: Rows, observations: Rows) -> Rows:
    """Return the rows of ``core.test_results``: one per test of the observations whose keys are current."""
    runs = engine.sql(_RUNS, standing=standing, observations=observations)
    return engine.explode(runs, list(IN_OBSERVATIONS))
