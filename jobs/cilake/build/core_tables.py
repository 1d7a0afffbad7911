"""The core tables as a build publishes them: their rows, and what these replace."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyiceberg.expressions import BooleanExpression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.build.core_changes import CoreChanges
from cilake.build.decoding import KEY
from cilake.build.half_published import is_half_published, mark_build
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.model import Table
from cilake.lake.changes import note_restated
from cilake.lake.schema import conform
from cilake.log import logger
from cilake.publish.audit import auditor, preload_great_expectations, reconcile
from cilake.publish.branch import Branch, open_branch, write_audit_publish
from cilake.publish.few import READ_ROWS, are_in_few, arrange, as_frame, is_few, of_days, take_few
from cilake.publish.replace import days_condition
from cilake.quality import suite
from cilake.quality.row_rules import select_broken
from cilake.transforms.core import ci_jobs, ci_runs, test_results, tests
from cilake.transforms.engines import SparkEngine

RUNS_PER_PARTITION = 4000
CORE = (TESTS, CI_JOBS, OBSERVATIONS, TEST_RESULTS, CI_RUNS)
"""The tables of the build in the order in which they are published; the last says which runs are complete."""
FEW_REPLACED = 1000
"""So many runs are removed without Spark, where they lie in files that are not too large."""


def publish(changes: CoreChanges, *, settles: bool) -> dict[str, int]:
    """Write, audit and publish the tables that change; return the number of rows written to each.

    A round that does not settle leaves results and runs marked as of different builds.
    """
    rows, counts = _take_written(changes) if changes.slices else _take_rows(changes)
    removed = _outdated_observations(changes)
    removes = {OBSERVATIONS: removed, TEST_RESULTS: changes.run_count}
    touched = [table for table in CORE if counts[table] or removes.get(table)]
    if touched:
        preload_great_expectations()
    run_id = f"{'rebuild_' if changes.restates else ''}core_{changes.window.start}"
    branches = [open_branch(changes.spark, changes.catalog, table, run_id) for table in touched]
    replaced = _replaced_runs(changes) if changes.run_count else ""

    def write(branch: Branch) -> None:
        if branch.table.address in changes.snapshots:  # another build may have published meanwhile
            branch.require_base(changes.snapshots[branch.table.address])
        if branch.table in (TEST_RESULTS, CI_RUNS) and replaced:
            branch.delete(replaced)
        if branch.table is OBSERVATIONS and removed:
            branch.delete(removed)
        if branch.table in (TESTS, CI_JOBS) and changes.restates:
            (key,) = branch.table.primary_key
            (names,) = rows[branch.table]
            as_frame(changes.spark, names).createOrReplaceTempView(f"restated_{branch.table.name}")
            branch.delete(f"{key} IN (SELECT {key} FROM restated_{branch.table.name})")  # noqa: S608 - names are ours
        for part in rows[branch.table]:
            branch.append(part)
        logger.info(f"{branch.table.address}: written to {branch.name}")

    audit = auditor(changes.settings, changes.catalog, day=changes.window.start)
    build = {}
    if branches and settles:
        build = mark_build(changes.catalog, branches[-1].name, changes.restates)
    if changes.restates and changes.run_count:
        note_restated(changes.catalog, CI_RUNS, branches[-1].base, changes.dates(changes.changed))
    write_audit_publish(
        branches,
        write,
        audit,
        reconcile=reconcile if settles else None,
        properties={TEST_RESULTS.address: build, CI_RUNS.address: build},
        note=changes.restates.note if changes.restates else None,
    )
    return {table.address: int(count) for table, count in counts.items()}


def _take_rows(changes: CoreChanges) -> tuple[dict[Table, list[Any]], dict[Table, int]]:
    """Return the rows of each table, few of them as tables of Arrow, and how many each gets."""
    added_count, added_results = changes.size_of(changes.added)
    are_few = is_few(max(added_results, changes.result_count))
    rows = {
        table: conform(frame, table) for table, frame in _make_rows(changes, are_arranged=not are_few).items()
    }
    counts = {OBSERVATIONS: added_count, TEST_RESULTS: changes.result_count, CI_RUNS: changes.run_count}
    for table in CORE:
        is_name = table in (TESTS, CI_JOBS)
        taken = rows[table]
        if isinstance(taken, DataFrame):
            taken = take_few(taken, table) if is_name or (are_few and counts[table]) else None
        if taken is not None:
            rows[table] = arrange(taken, table)
        if is_name:
            counts[table] = rows[table].count() if taken is None else taken.num_rows
    return {table: [rows[table]] for table in CORE}, counts


def _take_written(changes: CoreChanges) -> tuple[dict[Table, list[Any]], dict[Table, int]]:
    """Return what each table gets, files where there are results, else Arrow, and how many rows.

    Raises:
        MemoryError: when too many results are those of older observations.

    """
    assert changes.slices is not None
    older = changes.join("ANTI", changes.changed, changes.observed)
    _, older_count = changes.size_of(older)
    if older_count > READ_ROWS:
        raise MemoryError(f"{older_count:,} results are those of observations that are published already")
    added = changes.select("added", KEY, added=changes.added)
    standing = changes.select("changed", (*KEY, "known_at"), changed=changes.changed)
    files = changes.slices.write(changes.catalog, changes.decoded, added=added, standing=standing)
    rows: dict[Table, list[Any]] = {table: [paths] if paths else [] for table, paths in files.items()}
    if older_count:
        published = changes.join(
            "SEMI", changes.read_published(), older, days=changes.days_of("run_date", older)
        )
        again = test_results.transform(changes.engine, standing=older, observations=published)
        rows[TEST_RESULTS].append(arrange(conform(again, TEST_RESULTS), TEST_RESULTS))
    shown = changes.observations_of(changes.changed)
    small = {
        TESTS: changes.named(TESTS, tests.transform),
        CI_JOBS: changes.named(CI_JOBS, ci_jobs.transform),
        CI_RUNS: ci_runs.transform(changes.engine, standing=changes.changed, observations=shown),
    }
    for table, made in small.items():
        rows[table] = [arrange(conform(made, table), table)]
    counts = {table: rows[table][0].num_rows for table in small}
    added_count, _ = changes.size_of(changes.added)
    return rows, counts | {OBSERVATIONS: added_count, TEST_RESULTS: changes.result_count}


def find_broken_runs(changes: CoreChanges) -> Any:
    """Return the key of each run of which a row to be published breaks a row rule, and the ``reason``."""
    rows = _make_rows(changes, are_arranged=False)
    broken = [
        changes.engine.sql(
            f"SELECT run_key, '{table.address}: ' || min(broken_rule) AS reason"  # noqa: S608 - names are ours
            f" FROM ({select_broken(suite.read(table))}) AS broken GROUP BY run_key",
            checked=conform(rows[table], table),
        )
        for table in (OBSERVATIONS, TEST_RESULTS, CI_RUNS)
    ]
    every = pa.concat_tables([changes.engine.to_arrow(one) for one in broken])
    reasons = every.group_by("run_key").aggregate([("reason", "min")])
    return changes.engine.from_arrow(reasons.rename_columns({"reason_min": "reason"}))


def _make_rows(changes: CoreChanges, *, are_arranged: bool) -> dict[Table, Any]:
    added, observations = changes.added, changes.observations_of(changes.changed)
    shown = {"standing": changes.changed, "observations": observations}
    runs = ci_runs.transform(changes.engine, **shown)
    if are_arranged and isinstance(changes.engine, SparkEngine):
        added, shown["observations"] = _arrange(changes, added), _arrange(changes, observations)
        runs = runs.repartition(1).sortWithinPartitions("run_date", "job_key", "started_at")
    return {
        TESTS: changes.named(TESTS, tests.transform),
        CI_JOBS: changes.named(CI_JOBS, ci_jobs.transform),
        OBSERVATIONS: added,
        TEST_RESULTS: test_results.transform(changes.engine, **shown),
        CI_RUNS: runs,
    }


def _arrange(changes: CoreChanges, observations: DataFrame) -> DataFrame:
    """Return the rows sorted in ranges of month and job: runs are shuffled, not their many results."""
    month = F.date_trunc("month", "started_at")
    count = max(1, -(-changes.run_count // RUNS_PER_PARTITION))
    return observations.repartitionByRange(count, month, "job_key").sortWithinPartitions(
        month, "job_key", "started_at"
    )


def _replaced_runs(changes: CoreChanges) -> str | BooleanExpression:
    """Return the condition of the published rows that go, empty when there are none."""
    of_changed = "run_key IN (SELECT run_key FROM changed_runs)"
    is_half = is_half_published(changes.catalog)
    replaced = changes.engine.to_arrow(
        changes.engine.sql(
            "SELECT old_run_date, run_key FROM changed WHERE old_run_date IS NOT NULL",
            changed=changes.changed,
        )
    )
    if not replaced.num_rows and not is_half:
        return ""
    days = replaced["old_run_date"].unique().to_pylist()
    if replaced.num_rows <= FEW_REPLACED and not is_half:
        keys = ", ".join(map(str, replaced["run_key"].to_pylist()))
        condition = of_days("run_date", days, f"run_key IN ({keys})")
        if all(are_in_few(changes.catalog, table, condition) for table in (TEST_RESULTS, CI_RUNS)):
            return condition
    keys_of_changed = changes.select("changed", ["run_key"], changed=changes.changed)
    as_frame(changes.spark, keys_of_changed).createOrReplaceTempView("changed_runs")
    if is_half:
        return of_changed  # left by a build that was killed between the two, on whatever days
    return f"{days_condition('run_date', days)} AND {of_changed}"


def _outdated_observations(changes: CoreChanges) -> str:
    """Return the condition of the published observations that go, empty when there are none."""
    if changes.outdated is None or not (days := changes.days_of("run_date", changes.outdated)):
        return ""
    changes.outdated.createOrReplaceTempView("outdated_observations")
    key = ", ".join(KEY)
    of_outdated = f"({key}) IN (SELECT {key} FROM outdated_observations)"  # noqa: S608 - names are ours
    return f"{days_condition('run_date', days)} AND {of_outdated}"
