"""Whether the core tables were published whole: results and runs by one build."""

from __future__ import annotations

from pyiceberg.catalog import Catalog

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS

BUILD = "cilake.build"
"""The property of a table that names the build that published it last."""


def is_half_published(catalog: Catalog) -> bool:
    """Return whether runs are of another build than results: one publishes now, or was killed in between."""
    results, runs = (
        catalog.load_table(table.address).properties.get(BUILD) for table in (TEST_RESULTS, CI_RUNS)
    )
    return results != runs
