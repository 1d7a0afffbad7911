"""What changes in the core tables by what was decoded, and its publication."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import BooleanExpression
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.build.decoding import KEY
from cilake.build.half_published import is_half_published, mark_build
from cilake.build.slices import Slices
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.model import Table
from cilake.lake.changes import note_restated
from cilake.lake.files import open_days
from cilake.lake.schema import conform, differing_keys
from cilake.log import logger
from cilake.publish.audit import auditor, prepare_audit, reconcile
from cilake.publish.branch import Branch, open_branch, write_audit_publish
from cilake.publish.few import READ_ROWS, are_in_few, arrange, as_frame, is_few, of_days, take_few
from cilake.publish.replace import days_condition, spans_condition
from cilake.publish.restatements import Restatement
from cilake.quality.row_rules import select_broken
from cilake.settings import Settings
from cilake.sources.registry import precedence
from cilake.transforms.core import ci_jobs, ci_run_observations, ci_runs, test_results, tests
from cilake.transforms.core.ci_run_observations import FACTS
from cilake.transforms.engines import Engine, SparkEngine
from cilake.transforms.words import equal, of
from cilake.windows import Window

RUNS_PER_PARTITION = 4000
CORE = (TESTS, CI_JOBS, OBSERVATIONS, TEST_RESULTS, CI_RUNS)
"""The tables of the build in the order in which they are published; the last says which runs are complete."""
_READ = (TESTS, CI_JOBS, OBSERVATIONS, CI_RUNS)
"""Those of them that a build looks into."""
FEW_REPLACED = 1000
"""So many runs are removed without Spark, where they lie in files that are not too large."""
_SIZE = """
SELECT count(*) AS row_count, cast(coalesce(sum(result_count), 0) AS bigint) AS result_count FROM runs
"""


@dataclass(frozen=True, slots=True)
class CoreBuild:
    """What all rounds of a build of the core tables share; ``restates`` is set where it is a rebuild."""

    spark: SparkSession
    settings: Settings
    catalog: Catalog
    window: Window
    restates: Restatement | None = None


def open_published(
    build: CoreBuild, engine: Engine[Any], *, limit: int = sys.maxsize
) -> dict[str, Any] | None:
    """Return what is published in the tables that a build looks into, by name, as the engine takes it.

    ``None`` where their files, to be read here, hold more than ``limit`` rows or are not whole by themselves.
    """
    if isinstance(engine, SparkEngine):
        return {table.name: build.spark.table(table.identifier) for table in _READ}
    published: dict[str, Any] = {}
    for table in _READ:
        present = build.catalog.load_table(table.address)
        opened = open_days(present, None, None, snapshot=None, limit=limit)
        if opened is None:
            return None
        published[table.name], held = opened
        limit -= held
    return published


class CoreRound:
    """One round of a build: what changes in the core tables, computed once, and its publication.

    Rows are those of the engine: dataframes, or tables of Arrow. A round that does not settle leaves results
    and runs marked as of different builds.
    """

    def __init__(
        self,
        build: CoreBuild,
        engine: Engine[Any],
        decoded: Any,
        published: Mapping[str, Any],
        *,
        settles: bool,
        slices: Slices | None = None,
    ) -> None:
        self.spark, self.settings, self.catalog = build.spark, build.settings, build.catalog
        self.window, self.restates = build.window, build.restates
        self.engine, self.decoded, self.published, self.settles = engine, decoded, published, settles
        self.slices, self.columns = slices, FACTS if slices else tuple(OBSERVATIONS.column_names)
        self.run_id = f"{'rebuild_' if build.restates else ''}core_{build.window.start}"
        observed = ci_run_observations.transform(engine, decoded=decoded, columns=self.columns)
        self.observed = ci_run_observations.keep_once(engine, observed)
        self.reread = engine.compute(self._find_reread()) if build.restates else None
        self.beginnings = engine.compute(self._find_beginnings())
        self.new = self._join("SEMI", self.observed, self.beginnings)
        compared: tuple[Any, Any] = self._compare() if build.restates else (self.new, None)
        self.added, self.outdated = compared
        self.changed = engine.compute(self._find_differing() if build.restates else self._find_changed())
        self.run_count, self.result_count = self._size_of(self.changed)
        logger.info(f"{self.run_count:,} new or corrected runs with {self.result_count:,} results")

    def publish(self) -> dict[str, int]:
        """Write, audit and publish the tables that change; return the number of rows written to each."""
        rows, counts = self._take_written() if self.slices else self._take_rows()
        removed = self._outdated_observations()
        removes = {OBSERVATIONS: removed, TEST_RESULTS: self.run_count}
        touched = [table for table in CORE if counts[table] or removes.get(table)]
        if touched:
            prepare_audit()
        branches = [open_branch(self.spark, self.catalog, table, self.run_id) for table in touched]
        replaced = self._replaced_runs() if self.run_count else ""

        def write(branch: Branch) -> None:
            if branch.table in (TEST_RESULTS, CI_RUNS) and replaced:
                branch.delete(replaced)
            if branch.table is OBSERVATIONS and removed:
                branch.delete(removed)
            if branch.table in (TESTS, CI_JOBS) and self.restates:
                (key,) = branch.table.primary_key
                (names,) = rows[branch.table]
                as_frame(self.spark, names).createOrReplaceTempView(f"restated_{branch.table.name}")
                branch.delete(f"{key} IN (SELECT {key} FROM restated_{branch.table.name})")  # noqa: S608 - names are ours
            for part in rows[branch.table]:
                branch.append(part)
            logger.info(f"wrote {branch.table.address} to {branch.name}")

        audit = auditor(self.settings, self.catalog, day=self.window.start)
        build = mark_build(branches[-1].name, self.restates) if branches and self.settles else {}
        if self.restates and self.run_count:
            note_restated(self.catalog, CI_RUNS, branches[-1].base, self._dates(self.changed))
        write_audit_publish(
            branches,
            write,
            audit,
            reconcile=reconcile if self.settles else None,
            properties={TEST_RESULTS.address: build, CI_RUNS.address: build},
            note=self.restates.note if self.restates else None,
        )
        return {table.address: int(count) for table, count in counts.items()}

    def _take_rows(self) -> tuple[dict[Table, list[Any]], dict[Table, int]]:
        """Return the rows of each table, few of them as tables of Arrow, and how many each gets."""
        added_count, added_results = self._size_of(self.added)
        are_few = is_few(max(added_results, self.result_count))
        rows = {table: conform(frame, table) for table, frame in self._rows(are_arranged=not are_few).items()}
        counts = {OBSERVATIONS: added_count, TEST_RESULTS: self.result_count, CI_RUNS: self.run_count}
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

    def _take_written(self) -> tuple[dict[Table, list[Any]], dict[Table, int]]:
        """Return what each table gets, files where there are results, else Arrow, and how many rows.

        Raises:
            MemoryError: when too many results are those of older observations.

        """
        assert self.slices is not None
        older = self._join("ANTI", self.changed, self.observed)
        _, older_count = self._size_of(older)
        if older_count > READ_ROWS:
            raise MemoryError(f"{older_count:,} results are those of observations that are published already")
        added = self._select("added", KEY, added=self.added)
        standing = self._select("changed", (*KEY, "known_at"), changed=self.changed)
        files = self.slices.write(self.catalog, self.decoded, added=added, standing=standing)
        rows: dict[Table, list[Any]] = {table: [paths] if paths else [] for table, paths in files.items()}
        if older_count:
            published = self._join("SEMI", self._published(), older, days=self._days_of("run_date", older))
            again = test_results.transform(self.engine, standing=older, observations=published)
            rows[TEST_RESULTS].append(arrange(conform(again, TEST_RESULTS), TEST_RESULTS))
        shown = self._observations_of(self.changed)
        small = {
            TESTS: self._named(TESTS, tests.transform),
            CI_JOBS: self._named(CI_JOBS, ci_jobs.transform),
            CI_RUNS: ci_runs.transform(self.engine, standing=self.changed, observations=shown),
        }
        for table, made in small.items():
            rows[table] = [arrange(conform(made, table), table)]
        counts = {table: rows[table][0].num_rows for table in small}
        added_count, _ = self._size_of(self.added)
        return rows, counts | {OBSERVATIONS: added_count, TEST_RESULTS: self.result_count}

    def find_broken_runs(self) -> Any:
        """Return the key of each run of which a row to be published breaks a row rule, and the ``reason``."""
        rows = self._rows(are_arranged=False)
        broken = [
            self.engine.sql(
                f"SELECT run_key, '{table.address}: ' || min(broken_rule) AS reason"  # noqa: S608 - names are ours
                f" FROM ({select_broken(table)}) AS broken GROUP BY run_key",
                checked=conform(rows[table], table),
            )
            for table in (OBSERVATIONS, TEST_RESULTS, CI_RUNS)
        ]
        every = pa.concat_tables([self.engine.to_arrow(one) for one in broken])
        reasons = every.group_by("run_key").aggregate([("reason", "min")])
        return self.engine.from_arrow(reasons.rename_columns({"reason_min": "reason"}))

    def _size_of(self, runs: Any) -> tuple[int, int]:
        """Return how many rows there are of runs, and how many results these have."""
        size = self.engine.to_arrow(self.engine.sql(_SIZE, runs=runs)).to_pylist()[0]
        return size["row_count"], size["result_count"]

    def _find_reread(self) -> Any:
        """Return keys and days of the published observations that the same decoder has read again."""
        slim = self._select(
            "published", ci_run_observations.SLIM, published=self.published[OBSERVATIONS.name]
        )
        return ci_run_observations.select_reread(self.engine, observed=self.observed, observations=slim)

    def _published(self) -> Any:
        """Return the published observations; in a rebuild those that were read again do not count."""
        every = self.published[OBSERVATIONS.name]
        if self.reread is None:
            return every
        return self._join("ANTI", every, self.reread)

    def _compare(self) -> tuple[DataFrame, DataFrame]:
        """Return the new observations that are not published so, and the published that are not new."""
        assert self.reread is not None
        of_days = self.published[OBSERVATIONS.name].where(
            spans_condition("run_date", self._days_of("run_date", self.reread))
        )
        published = conform(of_days.join(self.reread.select(*KEY), [*KEY], "left_semi"), OBSERVATIONS)
        new = conform(self.new, OBSERVATIONS)
        return new.exceptAll(published).localCheckpoint(), published.exceptAll(new).localCheckpoint()

    def _find_beginnings(self) -> Any:
        seen = self._select("observed", KEY, observed=self.observed)
        published = self._of_observed(KEY, self._published())
        return ci_run_observations.select_beginnings(self.engine, seen=seen, observations=published)

    def _find_changed(self) -> Any:
        """Return what stands of the runs that the payloads show, where it is unlike the published run.

        Not only of those with new observations: a build that was killed may have published these already.
        """
        standing, runs = self._standing_and_published()
        return ci_runs.select_changed(self.engine, standing=standing, ci_runs=runs)

    def _find_differing(self) -> DataFrame:
        """Return what stands of the runs that the payloads show, where any row is unlike those published."""
        standing, runs = self._standing_and_published()
        with_old = ci_runs.with_old_date(self.engine, standing=standing, ci_runs=runs)
        every: DataFrame = self.engine.compute(with_old)
        if is_half_published(self.catalog):
            return every  # what follows from the runs may not have been made again yet
        scope = spans_condition("run_date", self._dates(every))
        observations = self._observations_of(every)
        differing = [
            differing_keys(
                conform(transform(self.engine, standing=every, observations=observations), table),
                self.spark.table(table.identifier).where(scope).join(every, "run_key", "left_semi"),
                table,
                "run_key",
            )
            for table, transform in ((CI_RUNS, ci_runs.transform), (TEST_RESULTS, test_results.transform))
        ]
        return every.join(reduce(DataFrame.unionByName, differing).distinct(), "run_key", "left_semi")

    def _standing_and_published(self) -> tuple[Any, Any]:
        """Return what stands of the runs that the payloads show, and the published rows of these runs."""
        slim = ", ".join(ci_run_observations.SLIM)
        every = self.engine.sql(
            f"SELECT {slim} FROM published UNION ALL SELECT {slim} FROM new",  # noqa: S608 - names are ours
            published=self._of_observed(ci_run_observations.SLIM, self._published()),
            new=self.new,
        )
        standing = ci_run_observations.select_standing(self.engine, every, precedence())
        return standing, self._of_observed(CI_RUNS.column_names, self.published[CI_RUNS.name])

    def _of_observed(self, columns: Iterable[str], rows: Any) -> Any:
        """Return columns of the rows of runs that the payloads show."""
        return self.engine.sql(
            f"SELECT /*+ BROADCAST(shown) */ {of('held', columns)} FROM held"  # noqa: S608 - names are ours
            " SEMI JOIN (SELECT DISTINCT run_key FROM observed) AS shown ON held.run_key = shown.run_key",
            held=rows,
            observed=self.observed,
        )

    def _join(self, kind: str, rows: Any, others: Any, *, days: list[date] | None = None) -> Any:
        """Return the rows, of some days, whose key is among others or is not (``ANTI``): others are few."""
        of_days = f" WHERE {days_condition('held.run_date', days)}" if days else ""
        return self.engine.sql(
            f"SELECT /*+ BROADCAST(others) */ held.* FROM held {kind} JOIN others"  # noqa: S608 - names are ours
            f" ON {equal('held', 'others', KEY)}{of_days}",
            held=rows,
            others=others,
        )

    def _select(self, name: str, columns: Iterable[str], **rows: Any) -> Any:
        return self.engine.sql(f"SELECT {', '.join(columns)} FROM {name}", **rows)  # noqa: S608 - names are ours

    def _rows(self, *, are_arranged: bool) -> dict[Table, Any]:
        added, observations = self.added, self._observations_of(self.changed)
        shown = {"standing": self.changed, "observations": observations}
        runs = ci_runs.transform(self.engine, **shown)
        if are_arranged and isinstance(self.engine, SparkEngine):
            added, shown["observations"] = self._arrange(added), self._arrange(observations)
            runs = runs.repartition(1).sortWithinPartitions("run_date", "job_key", "started_at")
        return {
            TESTS: self._named(TESTS, tests.transform),
            CI_JOBS: self._named(CI_JOBS, ci_jobs.transform),
            OBSERVATIONS: added,
            TEST_RESULTS: test_results.transform(self.engine, **shown),
            CI_RUNS: runs,
        }

    def _named(self, table: Table, transform: Callable[..., Any]) -> Any:
        """Return the rows of names that are not published; in a rebuild those unlike the published, too."""
        published = self.published[table.name]
        if not self.restates:
            return transform(self.engine, decoded=self.decoded, **{table.name: published})
        wanted = transform(self.engine, decoded=self.decoded, **{table.name: published.limit(0)})
        return conform(wanted, table).exceptAll(published).localCheckpoint()

    def _observations_of(self, runs: Any) -> Any:
        """Return observations with those of the runs that stand among them: new and, if needed, published."""
        shown, keys = (self.observed, self.observed) if self.slices else (self.new, self.beginnings)
        older = self._join("ANTI", runs, keys)
        days = self._days_of("run_date", older)
        if not days:
            return shown
        names = ", ".join(self.columns)
        return self.engine.sql(
            f"SELECT {names} FROM shown UNION ALL SELECT {names} FROM older",  # noqa: S608 - names are ours
            shown=shown,
            older=self._join("SEMI", self._published(), older, days=days),
        )

    def _arrange(self, observations: DataFrame) -> DataFrame:
        """Return the rows sorted in ranges of month and job: runs are shuffled, not their many results."""
        month = F.date_trunc("month", "started_at")
        count = max(1, -(-self.run_count // RUNS_PER_PARTITION))
        return observations.repartitionByRange(count, month, "job_key").sortWithinPartitions(
            month, "job_key", "started_at"
        )

    def _replaced_runs(self) -> str | BooleanExpression:
        """Return the condition of the published rows that go, empty when there are none."""
        of_changed = "run_key IN (SELECT run_key FROM changed_runs)"
        is_half = is_half_published(self.catalog)
        replaced = self.engine.to_arrow(
            self.engine.sql(
                "SELECT old_run_date, run_key FROM changed WHERE old_run_date IS NOT NULL",
                changed=self.changed,
            )
        )
        if not replaced.num_rows and not is_half:
            return ""
        days = replaced["old_run_date"].unique().to_pylist()
        if replaced.num_rows <= FEW_REPLACED and not is_half:
            keys = ", ".join(map(str, replaced["run_key"].to_pylist()))
            condition = of_days("run_date", days, f"run_key IN ({keys})")
            if all(are_in_few(self.catalog, table, condition) for table in (TEST_RESULTS, CI_RUNS)):
                return condition
        keys_of_changed = self._select("changed", ["run_key"], changed=self.changed)
        as_frame(self.spark, keys_of_changed).createOrReplaceTempView("changed_runs")
        if is_half:
            return of_changed  # left by a build that was killed between the two, on whatever days
        return f"{days_condition('run_date', days)} AND {of_changed}"

    def _outdated_observations(self) -> str:
        """Return the condition of the published observations that go, empty when there are none."""
        if self.outdated is None or not (days := self._days_of("run_date", self.outdated)):
            return ""
        self.outdated.createOrReplaceTempView("outdated_observations")
        key = ", ".join(KEY)
        of_outdated = f"({key}) IN (SELECT {key} FROM outdated_observations)"  # noqa: S608 - names are ours
        return f"{days_condition('run_date', days)} AND {of_outdated}"

    def _dates(self, runs: Any) -> set[date]:
        """Return the days that the runs have, and those that they had."""
        return {*self._days_of("run_date", runs), *self._days_of("old_run_date", runs)}

    def _days_of(self, column: str, rows: Any) -> list[date]:
        """Return the days that rows have in a column, each once."""
        days = self.engine.sql(
            f"SELECT DISTINCT {column} AS day FROM held WHERE {column} IS NOT NULL ORDER BY day",  # noqa: S608 - names are ours
            held=rows,
        )
        found: list[date] = self.engine.to_arrow(days)["day"].to_pylist()
        return found
