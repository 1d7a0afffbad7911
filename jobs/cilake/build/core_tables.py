"""What changes in the core tables by what was decoded, and its publication."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import reduce

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import BooleanExpression
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.build.decoding import KEY
from cilake.build.half_published import is_half_published, mark_build
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.model import Table
from cilake.lake.changes import note_restated
from cilake.lake.schema import conform, differing_keys
from cilake.log import logger
from cilake.publish.audit import auditor, prepare_audit, reconcile
from cilake.publish.branch import Branch, open_branch, write_audit_publish
from cilake.publish.few import are_in_few, arrange, is_few, of_days, take_few
from cilake.publish.replace import days_condition, spans_condition
from cilake.publish.restatements import Restatement
from cilake.quality.row_rules import find_broken
from cilake.settings import Settings
from cilake.sources.registry import precedence
from cilake.transforms.core import ci_jobs, ci_run_observations, ci_runs, test_results, tests
from cilake.windows import Window

RUNS_PER_PARTITION = 4000
CORE = (TESTS, CI_JOBS, OBSERVATIONS, TEST_RESULTS, CI_RUNS)
"""The tables of the build in the order in which they are published; the last says which runs are complete."""
FEW_REPLACED = 1000
"""So many runs are removed without Spark, where they lie in files that are not too large."""


@dataclass(frozen=True, slots=True)
class CoreBuild:
    """What all rounds of a build of the core tables share; ``restates`` is set where it is a rebuild."""

    spark: SparkSession
    settings: Settings
    catalog: Catalog
    window: Window
    restates: Restatement | None = None


class CoreRound:
    """One round of a build: what changes in the core tables, computed once, and its publication.

    One that does not settle leaves results and runs marked as of different builds.
    """

    def __init__(self, build: CoreBuild, decoded: DataFrame, *, settles: bool) -> None:
        self.spark, self.settings, self.catalog = build.spark, build.settings, build.catalog
        self.window, self.restates = build.window, build.restates
        self.decoded, self.settles = decoded, settles
        restates = build.restates
        self.run_id = f"{'rebuild_' if restates else ''}core_{build.window.start}"
        self.observed = ci_run_observations.transform(decoded)
        # Checkpoints, as writing a table drops every cached plan that reads it.
        self.reread = self._find_reread().localCheckpoint() if restates else None
        self.beginnings = self._find_beginnings().localCheckpoint()
        self.new = self.observed.join(F.broadcast(self.beginnings), KEY, "left_semi")
        self.added, self.outdated = self._compare() if restates else (self.new, None)
        self.changed = (self._find_differing() if restates else self._find_changed()).localCheckpoint()
        self.run_count, self.result_count = self.changed.agg(
            F.count("*"), F.coalesce(F.sum("result_count"), F.lit(0))
        ).collect()[0]
        logger.info(f"{self.run_count:,} new or corrected runs with {self.result_count:,} results")

    def publish(self) -> dict[str, int]:
        """Write, audit and publish the tables that change; return the number of rows written to each."""
        rows, few, counts = self._take_rows()
        removed = self._outdated_observations()
        removes = {OBSERVATIONS: removed, TEST_RESULTS: self.run_count}
        touched = [table for table in CORE if counts[table] or removes.get(table)]
        if touched:
            prepare_audit()
        branches = [open_branch(self.spark, self.catalog, table, self.run_id) for table in touched]
        if self.run_count:
            self.changed.createOrReplaceTempView("changed_runs")
        replaced = self._replaced_runs() if self.run_count else ""

        def write(branch: Branch) -> None:
            if branch.table in (TEST_RESULTS, CI_RUNS) and replaced:
                branch.delete(replaced)
            if branch.table is OBSERVATIONS and removed:
                branch.delete(removed)
            if branch.table in (TESTS, CI_JOBS) and self.restates:
                (key,) = branch.table.primary_key
                rows[branch.table].createOrReplaceTempView(f"restated_{branch.table.name}")
                branch.delete(f"{key} IN (SELECT {key} FROM restated_{branch.table.name})")  # noqa: S608 - names are ours
            branch.append(few.get(branch.table, rows[branch.table]))
            logger.info(f"wrote {branch.table.address} to {branch.name}")

        audit = auditor(self.settings, self.catalog, day=self.window.start)
        build = mark_build(branches[-1].name, self.restates) if branches and self.settles else {}
        if self.restates and self.run_count:
            note_restated(self.catalog, CI_RUNS, branches[-1].base, _dates(self.changed))
        write_audit_publish(
            branches,
            write,
            audit,
            reconcile=reconcile if self.settles else None,
            properties={TEST_RESULTS.address: build, CI_RUNS.address: build},
            note=self.restates.note if self.restates else None,
        )
        return {table.address: int(count) for table, count in counts.items()}

    def _take_rows(self) -> tuple[dict[Table, DataFrame], dict[Table, pa.Table], dict[Table, int]]:
        """Return the rows of each table, those of tables that get few from here, and how many each gets."""
        added_count, added_results = self.added.agg(
            F.count("*"), F.coalesce(F.sum("result_count"), F.lit(0))
        ).collect()[0]
        are_few = is_few(max(added_results, self.result_count))
        rows = {table: conform(frame, table) for table, frame in self._rows(are_arranged=not are_few).items()}
        counts = {OBSERVATIONS: added_count, TEST_RESULTS: self.result_count, CI_RUNS: self.run_count}
        few = {}
        for table in CORE:
            is_name = table in (TESTS, CI_JOBS)
            taken = take_few(rows[table], table) if is_name or (are_few and counts[table]) else None
            if taken is not None:
                few[table] = arrange(taken, table)
            if is_name:
                counts[table] = rows[table].count() if taken is None else taken.num_rows
        return rows, few, counts

    def find_broken_runs(self) -> DataFrame:
        """Return the key of each run of which a row to be published breaks a row rule, and the ``reason``."""
        rows = self._rows(are_arranged=False)
        found = [
            find_broken(table, conform(rows[table], table)).select(
                "run_key", F.concat(F.lit(f"{table.address}: "), "broken_rule").alias("reason")
            )
            for table in (OBSERVATIONS, TEST_RESULTS, CI_RUNS)
        ]
        every = reduce(DataFrame.unionByName, found)
        return every.groupBy("run_key").agg(F.min("reason").alias("reason"))

    def _find_reread(self) -> DataFrame:
        """Return keys and days of the published observations that the same decoder has read again."""
        published = self.spark.table(OBSERVATIONS.identifier).select(*ci_run_observations.SLIM)
        return ci_run_observations.select_reread(self.observed, published)

    def _published(self) -> DataFrame:
        """Return the published observations; in a rebuild those that were read again do not count."""
        every = self.spark.table(OBSERVATIONS.identifier)
        return every if self.reread is None else every.join(self.reread.select(*KEY), KEY, "left_anti")

    def _compare(self) -> tuple[DataFrame, DataFrame | None]:
        """Return the new observations that are not published so, and the published that are not new."""
        assert self.reread is not None
        days = [row[0] for row in self.reread.select("run_date").distinct().collect()]
        of_days = self.spark.table(OBSERVATIONS.identifier).where(spans_condition("run_date", days))
        published = conform(of_days.join(self.reread.select(*KEY), KEY, "left_semi"), OBSERVATIONS)
        new = conform(self.new, OBSERVATIONS)
        return new.exceptAll(published).localCheckpoint(), published.exceptAll(new).localCheckpoint()

    def _find_beginnings(self) -> DataFrame:
        seen = self.observed.select(*KEY)
        runs = F.broadcast(seen.select("run_key").distinct())
        published = self._published().select(*KEY)
        return ci_run_observations.select_beginnings(seen, published.join(runs, "run_key", "left_semi"))

    def _find_changed(self) -> DataFrame:
        """Return what stands of the runs that the payloads show, where it is unlike the published run.

        Not only of those with new observations: a build that was killed may have published these already.
        """
        return ci_runs.select_changed(*self._standing_and_published())

    def _find_differing(self) -> DataFrame:
        """Return what stands of the runs that the payloads show, where any row is unlike those published."""
        every = ci_runs.with_old_date(*self._standing_and_published()).localCheckpoint()
        if is_half_published(self.catalog):
            return every  # what follows from the runs may not have been made again yet
        scope = spans_condition("run_date", _dates(every))
        observations = self._observations_of(every)
        differing = [
            differing_keys(
                conform(transform(every, observations), table),
                self.spark.table(table.identifier).where(scope).join(every, "run_key", "left_semi"),
                table,
                "run_key",
            )
            for table, transform in ((CI_RUNS, ci_runs.transform), (TEST_RESULTS, test_results.transform))
        ]
        return every.join(reduce(DataFrame.unionByName, differing).distinct(), "run_key", "left_semi")

    def _standing_and_published(self) -> tuple[DataFrame, DataFrame]:
        affected = F.broadcast(self.observed.select("run_key").distinct())
        slim = ci_run_observations.SLIM
        new = self.new.select(*slim)
        every = self._published().select(*slim).join(affected, "run_key", "left_semi").unionByName(new)
        runs = self.spark.table(CI_RUNS.identifier).join(affected, "run_key", "left_semi")
        return ci_run_observations.select_standing(every, precedence()), runs

    def _rows(self, *, are_arranged: bool) -> dict[Table, DataFrame]:
        added, observations = self.added, self._observations_of(self.changed)
        runs = ci_runs.transform(F.broadcast(self.changed), observations)
        if are_arranged:
            added, observations = self._arrange(added), self._arrange(observations)
            runs = runs.repartition(1).sortWithinPartitions("run_date", "job_key", "started_at")
        return {
            TESTS: self._named(TESTS, tests.transform),
            CI_JOBS: self._named(CI_JOBS, ci_jobs.transform),
            OBSERVATIONS: added,
            TEST_RESULTS: test_results.transform(F.broadcast(self.changed), observations),
            CI_RUNS: runs,
        }

    def _named(self, table: Table, transform: Callable[[DataFrame, DataFrame], DataFrame]) -> DataFrame:
        """Return the rows of names that are not published; in a rebuild those unlike the published, too."""
        published = self.spark.table(table.identifier)
        if not self.restates:
            return transform(self.decoded, published)
        wanted = conform(transform(self.decoded, published.limit(0)), table)
        return wanted.exceptAll(published).localCheckpoint()

    def _observations_of(self, runs: DataFrame) -> DataFrame:
        """Return observations with those of the runs that stand among them: new and, if needed, published."""
        older = runs.join(F.broadcast(self.beginnings), KEY, "left_anti")
        days = [row[0] for row in older.select("run_date").distinct().collect()]
        if not days:
            return self.new
        published = self._published().where(days_condition("run_date", days))
        return self.new.unionByName(published.join(F.broadcast(older.select(*KEY)), KEY, "left_semi"))

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
        if is_half_published(self.catalog):
            return of_changed  # left by a build that was killed between the two, on whatever days
        replaced = self.changed.where("old_run_date IS NOT NULL").select("old_run_date", "run_key").toArrow()
        if not replaced.num_rows:
            return ""
        days = replaced["old_run_date"].unique().to_pylist()
        if replaced.num_rows <= FEW_REPLACED:
            keys = ", ".join(map(str, replaced["run_key"].to_pylist()))
            condition = of_days("run_date", days, f"run_key IN ({keys})")
            if all(are_in_few(self.catalog, table, condition) for table in (TEST_RESULTS, CI_RUNS)):
                return condition
        return f"{days_condition('run_date', days)} AND {of_changed}"

    def _outdated_observations(self) -> str:
        """Return the condition of the published observations that go, empty when there are none."""
        if self.outdated is None or not (rows := self.outdated.select("run_date").distinct().collect()):
            return ""
        self.outdated.createOrReplaceTempView("outdated_observations")
        key = ", ".join(KEY)
        days = days_condition("run_date", [row[0] for row in rows])
        return f"{days} AND ({key}) IN (SELECT {key} FROM outdated_observations)"  # noqa: S608 - names are ours


def _dates(runs: DataFrame) -> set[date]:
    """Return the days that the runs have, and those that they had."""
    days = runs.select("run_date", "old_run_date").distinct().collect()
    return {day for row in days for day in row if day}
