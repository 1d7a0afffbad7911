"""Whether the core tables were published whole: results and runs by one build.

A rebuild and a rollback say in their mark what they are, so that whoever comes next finishes them.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.lake.catalog import set_properties
from cilake.lake.snapshots import snapshot_id
from cilake.publish.audit import require_whole
from cilake.publish.restatements import Restatement

_BUILD = "cilake.build"
_REBUILD = "cilake.rebuild"
_BEFORE = "cilake.build-before"
_RUNS_BEFORE = "cilake.runs-build-before"


def mark_build(catalog: Catalog, name: str, restates: Restatement | None) -> dict[str, str]:
    """Return the properties with which results and runs say which build published them, and what for.

    They also say which build's results, and runs, these replace: of one that is finished, or taken back, the
    same.
    """
    results, runs = (catalog.load_table(table.address).properties for table in (TEST_RESULTS, CI_RUNS))
    if find_unfinished(catalog):
        before = {one: results.get(one, "") for one in (_BEFORE, _RUNS_BEFORE)}
    else:
        before = {_BEFORE: results.get(_BUILD, ""), _RUNS_BEFORE: runs.get(_BUILD, "")}
    return {_BUILD: name, _REBUILD: json.dumps(asdict(restates)) if restates else ""} | before


def unmark(catalog: Catalog) -> None:
    """Note that results are those of the build before again: runs are of it, too, unless it was killed."""
    before = catalog.load_table(TEST_RESULTS.address).properties[_BEFORE]
    set_properties(catalog, TEST_RESULTS, {_BUILD: before, _REBUILD: ""})


def settle(spark: SparkSession, catalog: Catalog) -> None:
    """Note that runs and results are of one build, where they are found to belong together.

    Raises:
        AuditError: when they do not.

    """
    results = catalog.load_table(TEST_RESULTS.address)
    held = results.current_snapshot()
    count = int(held.summary["total-records"] or 0) if held and held.summary else 0
    require_whole(spark, catalog, snapshot_id(catalog, CI_RUNS), count)
    set_properties(catalog, CI_RUNS, {_BUILD: results.properties[_BUILD]})


def is_half_published(catalog: Catalog) -> bool:
    """Return whether runs are of another build than results: one publishes now, or was killed in between."""
    results, runs = (
        catalog.load_table(table.address).properties.get(_BUILD, "") for table in (TEST_RESULTS, CI_RUNS)
    )
    return results != runs


def followed_half_published(catalog: Catalog, restatement_id: str) -> bool:
    """Return whether the newest rebuild, if it is this one, replaced results and runs of two builds."""
    present = catalog.load_table(TEST_RESULTS.address).properties
    noted = json.loads(present.get(_REBUILD) or "{}")
    is_it = noted.get("restatement_id") == restatement_id
    return is_it and present.get(_BEFORE) != present.get(_RUNS_BEFORE)


def find_unfinished(catalog: Catalog) -> Restatement | None:
    """Return the rebuild or rollback that was killed with results, and not their runs, as it makes them."""
    if not is_half_published(catalog):
        return None
    noted = catalog.load_table(TEST_RESULTS.address).properties.get(_REBUILD)
    return Restatement(**json.loads(noted)) if noted else None
