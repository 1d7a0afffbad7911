"""``cilake build``: raw payloads to core tables, core tables to answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from functools import reduce

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.apps.audit import AuditError, auditor, prepare_audit
from cilake.apps.progress import say
from cilake.apps.replace import Replacement, days_condition, replace_days, spans_condition
from cilake.apps.restatements import Restatement
from cilake.apps.set_aside import set_aside_runs, set_aside_unreadable
from cilake.apps.unbuilt import find_unbuilt
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.daily_job_health import TABLE as DAILY_JOB_HEALTH
from cilake.contracts.kpi.failing_pairs import TABLE as FAILING_PAIRS
from cilake.contracts.kpi.weekly_test_health import TABLE as WEEKLY_TEST_HEALTH
from cilake.contracts.model import Table
from cilake.contracts.raw.testgrid__tables import TABLE as PAYLOADS
from cilake.lake.catalog import open_catalog, set_properties
from cilake.lake.changes import built_from, changed_dates, mark_built
from cilake.lake.publish import Branch, open_branch, snapshot_id, write_audit_publish
from cilake.lake.schema import conform
from cilake.lake.session import spark_session
from cilake.quality.row_rules import find_broken
from cilake.settings import Settings
from cilake.sources.testgrid.decode import SPARK_SCHEMA, payload_decoder
from cilake.transforms.core import ci_jobs, ci_run_observations, ci_runs, test_results, tests
from cilake.transforms.kpi import daily_job_health, failing_pairs, weekly_test_health
from cilake.windows import Window, days_of_weeks, mondays

PAYLOADS_PER_BATCH = 4
RUNS_PER_PARTITION = 4000
CORE = (TESTS, CI_JOBS, OBSERVATIONS, TEST_RESULTS, CI_RUNS)
"""The tables of the build in the order in which they are published; the last says which runs are complete."""
FEW_BROKEN = 10
"""Up to so many runs that break a row rule no share of them stops a build: a quiet night has few runs."""
BUILD = "cilake.build"
"""The property of a table that names the build that published it last."""
KEY = list(ci_run_observations.KEY)


def build_core(settings: Settings, window: Window) -> dict[str, int]:
    """Build the core tables from the payloads landed since the last build; return the number of rows written.

    The window only names the day that the run is for: a payload whose own day failed is built by the next.
    ``core.ci_runs`` is published last and notes how far the payloads are built. A build that is killed before
    is done again, and what it may have published is replaced.

    Raises:
        FormatError: when too much of the payloads cannot be read.
        AuditError: when a critical expectation fails or the tables would not belong together.

    """
    catalog = open_catalog(settings)
    payloads = find_unbuilt(catalog, PAYLOADS, CI_RUNS)
    nothing = dict.fromkeys((table.address for table in CORE), 0)
    if payloads is None:
        say("no payload is new")
        return nothing
    with spark_session(settings, app_name=f"build core {window.start}") as spark:
        new = payloads.read(spark)
        return nothing | _build(spark, settings, catalog, window, new, mark=payloads.mark)


def rebuild_core(
    spark: SparkSession, settings: Settings, catalog: Catalog, window: Window, restatement: Restatement
) -> None:
    """Read the payloads landed for the window's days again, and publish what they say otherwise now.

    What a new version of the decoder reads counts instead of what an older one read. Names of jobs and tests
    are told apart again.
    """
    landed = spark.table(PAYLOADS.identifier).where(days_condition("partition_date", list(window.days)))
    _build(spark, settings, catalog, window, landed, restates=restatement)


def _build(
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    window: Window,
    payloads: DataFrame,
    *,
    mark: Mapping[str, str] | None = None,
    restates: Restatement | None = None,
) -> dict[str, int]:
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(PAYLOADS_PER_BATCH))
    say("decoding payloads")
    decoded = _decode(payloads).persist()
    try:
        runs = set_aside_unreadable(spark, catalog, decoded, limit=settings.rejected_ratio)
        build = _CoreBuild(spark, settings, catalog, window, runs, mark or {}, restates=restates)
        try:
            return build.publish()
        except AuditError as error:
            if not error.is_by_rows:
                raise
            rest = _set_aside_broken(build, error)
        return _CoreBuild(spark, settings, catalog, window, rest, mark or {}, restates=restates).publish()
    finally:
        with suppress(Exception):  # where the server is what failed, the first error is the one to be told
            decoded.unpersist()


def _decode(payloads: DataFrame) -> DataFrame:
    origin = F.concat_ws("|", "partition_date", "natural_id", "content_sha256").alias("origin")
    return payloads.select("payload", "served_at", "partition_date", origin, "natural_id").mapInArrow(
        payload_decoder(),  # type: ignore[arg-type]  # pyspark's stubs ask for Iterable
        SPARK_SCHEMA,
    )


def _set_aside_broken(build: _CoreBuild, error: AuditError) -> DataFrame:
    """Return the decoded runs without those of which a row breaks a row rule; these go to quarantine.

    Raises:
        AuditError: the one given, when no run breaks such a rule or too many do.

    """
    broken = build.find_broken_runs().localCheckpoint()
    count = broken.count()
    if not 0 < count <= max(FEW_BROKEN, build.settings.rejected_ratio * build.run_count):
        say(f"{count:,} of {build.run_count:,} runs break a row rule: too many to go on without them")
        raise error
    return set_aside_runs(build.catalog, build.decoded, broken)


class _CoreBuild:
    """One build: what changes in the core tables, computed once, and its publication."""

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        catalog: Catalog,
        window: Window,
        decoded: DataFrame,
        mark: Mapping[str, str],
        *,
        restates: Restatement | None,
    ) -> None:
        self.spark, self.settings, self.catalog, self.window = spark, settings, catalog, window
        self.decoded, self.mark, self.restates = decoded, mark, restates
        self.run_id = f"{'rebuild_' if restates else ''}core_{window.start}"
        self.observed = ci_run_observations.transform(decoded)
        # Checkpoints, as writing a table drops every cached plan that reads it.
        self.beginnings = self._find_beginnings().localCheckpoint()
        self.changed = self._find_changed().localCheckpoint()
        self.run_count, self.result_count = self.changed.agg(
            F.count("*"), F.coalesce(F.sum("result_count"), F.lit(0))
        ).collect()[0]
        say(f"{self.run_count:,} new or corrected runs with {self.result_count:,} results")

    def publish(self) -> dict[str, int]:
        """Write, audit and publish the tables that change; return the number of rows written to each."""
        rows = self._rows()
        counts = {table: rows[table].count() for table in (TESTS, CI_JOBS)}
        counts |= {
            OBSERVATIONS: self.beginnings.count(),
            TEST_RESULTS: self.result_count,
            CI_RUNS: self.run_count,
        }
        touched = [table for table in CORE if counts[table] or (table is TEST_RESULTS and self.run_count)]
        if touched:
            prepare_audit()
        branches = [open_branch(self.spark, self.catalog, table, self.run_id) for table in touched]
        if self.run_count:
            self.changed.createOrReplaceTempView("changed_runs")
        replaced = self._replaced_runs() if self.run_count else ""

        def write(branch: Branch) -> None:
            if branch.table in (TEST_RESULTS, CI_RUNS) and replaced:
                branch.delete(replaced)
            if branch.table in (TESTS, CI_JOBS) and self.restates:
                (key,) = branch.table.primary_key
                rows[branch.table].createOrReplaceTempView(f"restated_{branch.table.name}")
                branch.delete(f"{key} IN (SELECT {key} FROM restated_{branch.table.name})")  # noqa: S608 - names are ours
            branch.append(conform(rows[branch.table], branch.table))
            say(f"wrote {branch.table.address} to {branch.name}")

        audit = auditor(self.settings, self.catalog, day=self.window.start)
        build = {BUILD: branches[-1].name} if branches else {}
        write_audit_publish(
            branches,
            write,
            audit,
            reconcile=_reconcile,
            properties={TEST_RESULTS.address: build, CI_RUNS.address: build | dict(self.mark)},
            note=self.restates.note if self.restates else None,
        )
        if CI_RUNS not in touched:
            set_properties(self.catalog, CI_RUNS, self.mark)
        return {table.address: int(count) for table, count in counts.items()}

    def find_broken_runs(self) -> DataFrame:
        """Return the key of each run of which a row to be published breaks a row rule, and the ``reason``."""
        rows = self._rows()
        found = [
            find_broken(table, conform(rows[table], table)).select(
                "run_key", F.concat(F.lit(f"{table.address}: "), "broken_rule").alias("reason")
            )
            for table in (OBSERVATIONS, TEST_RESULTS, CI_RUNS)
        ]
        every = reduce(DataFrame.unionByName, found)
        return every.groupBy("run_key").agg(F.min("reason").alias("reason"))

    def _find_beginnings(self) -> DataFrame:
        seen = self.observed.select(*KEY)
        runs = F.broadcast(seen.select("run_key").distinct())
        published = self.spark.table(OBSERVATIONS.identifier).select(*KEY)
        return ci_run_observations.select_beginnings(seen, published.join(runs, "run_key", "left_semi"))

    def _find_changed(self) -> DataFrame:
        """Return what stands of the runs that the payloads show, where it is unlike the published run.

        Not only of those with new observations: a build that was killed may have published these already.
        """
        affected = F.broadcast(self.observed.select("run_key").distinct())
        slim = ci_run_observations.SLIM
        published = self.spark.table(OBSERVATIONS.identifier).select(*slim)
        new = self.observed.select(*slim).join(F.broadcast(self.beginnings), KEY, "left_semi")
        every = published.join(affected, "run_key", "left_semi").unionByName(new)
        standing = ci_run_observations.select_standing(every)
        runs = self.spark.table(CI_RUNS.identifier).join(affected, "run_key", "left_semi")
        return ci_runs.select_changed(standing, runs)

    def _rows(self) -> dict[Table, DataFrame]:
        new = self.observed.join(F.broadcast(self.beginnings), KEY, "left_semi")
        observations = self._observations_of_changed(new)
        runs = ci_runs.transform(F.broadcast(self.changed), observations)
        return {
            TESTS: self._named(TESTS, tests.transform),
            CI_JOBS: self._named(CI_JOBS, ci_jobs.transform),
            OBSERVATIONS: self._arrange(new),
            TEST_RESULTS: test_results.transform(F.broadcast(self.changed), self._arrange(observations)),
            CI_RUNS: runs.repartition(1).sortWithinPartitions("run_date", "job_key", "started_at"),
        }

    def _named(self, table: Table, transform: Callable[[DataFrame, DataFrame], DataFrame]) -> DataFrame:
        """Return the rows of names that are not published; in a rebuild those unlike the published, too."""
        published = self.spark.table(table.identifier)
        if not self.restates:
            return transform(self.decoded, published)
        wanted = conform(transform(self.decoded, published.limit(0)), table)
        return wanted.exceptAll(published).localCheckpoint()

    def _observations_of_changed(self, new: DataFrame) -> DataFrame:
        """Return observations with those of the changed runs among them: new and, if needed, published."""
        older = self.changed.join(F.broadcast(self.beginnings), KEY, "left_anti")
        days = [row[0] for row in older.select("run_date").distinct().collect()]
        if not days:
            return new
        published = self.spark.table(OBSERVATIONS.identifier).where(days_condition("run_date", days))
        return new.unionByName(published.join(F.broadcast(older.select(*KEY)), KEY, "left_semi"))

    def _arrange(self, observations: DataFrame) -> DataFrame:
        """Return the rows sorted in ranges of month and job: runs are shuffled, not their many results."""
        month = F.date_trunc("month", "started_at")
        count = max(1, -(-self.run_count // RUNS_PER_PARTITION))
        return observations.repartitionByRange(count, month, "job_key").sortWithinPartitions(
            month, "job_key", "started_at"
        )

    def _replaced_runs(self) -> str:
        """Return the condition of the published rows that go, empty when there are none."""
        of_changed = "run_key IN (SELECT run_key FROM changed_runs)"
        if _last_build(self.catalog, TEST_RESULTS) != _last_build(self.catalog, CI_RUNS):
            return of_changed  # left by a build that was killed between the two, on whatever days
        days = self.changed.where("old_run_date IS NOT NULL").select("old_run_date").distinct().collect()
        return f"{days_condition('run_date', [row[0] for row in days])} AND {of_changed}" if days else ""


def _last_build(catalog: Catalog, table: Table) -> str | None:
    return catalog.load_table(table.address).properties.get(BUILD)


def _reconcile(branches: Mapping[str, Branch]) -> None:
    """Check that runs and results belong together before either is published.

    Raises:
        AuditError: when a run would be there twice, or its results twice, in part or not at all.

    """
    if CI_RUNS.address not in branches or TEST_RESULTS.address not in branches:
        return
    runs = branches[CI_RUNS.address].rows()
    row_count, run_count, expected = runs.agg(
        F.count("*"), F.count_distinct("run_key"), F.sum("result_count")
    ).collect()[0]
    found = branches[TEST_RESULTS.address].row_count
    if row_count != run_count:
        raise AuditError(
            f"core.ci_runs would hold {row_count:,} rows of {run_count:,} runs: nothing was published"
        )
    if expected != found:
        raise AuditError(
            f"core.test_results would hold {found:,} rows, core.ci_runs counts {expected:,} results: "
            "nothing was published"
        )


KPI = (DAILY_JOB_HEALTH, WEEKLY_TEST_HEALTH, FAILING_PAIRS)
RUN_IDENTITY = ("run_key", "content_hash", "decoder_version")


def build_kpi(settings: Settings, window: Window) -> dict[str, int]:
    """Build the ``kpi`` tables of the days and weeks whose runs changed since the last build.

    A run whose start was corrected counts with the day that it left, too. The window only names the day that
    the run is for. Returns the number of rows written to each table.
    """
    catalog = open_catalog(settings)
    head = snapshot_id(catalog, CI_RUNS)
    noted = {built_from(catalog, table, CI_RUNS) for table in KPI}
    since = noted.pop() if len(noted) == 1 else None
    nothing = dict.fromkeys((table.address for table in KPI), 0)
    if head is None or head == since:
        say("no run is new or corrected")
        return nothing
    days = changed_dates(catalog, CI_RUNS, "run_date", identity=RUN_IDENTITY, since=since, until=head)
    say(f"{len(days)} days have new or corrected runs")
    mark = mark_built(CI_RUNS, head)
    if not days:
        for table in KPI:
            set_properties(catalog, table, mark)
        return nothing
    with spark_session(settings, app_name=f"build kpi {window.start}") as spark:
        run_id = f"kpi_{window.start}"
        audit = auditor(settings, catalog, day=window.start)
        answers = _answers(spark, days, mark)
        return nothing | replace_days(spark, catalog, answers, audit=audit, run_id=run_id)


def _answers(spark: SparkSession, days: list[date], mark: dict[str, str]) -> list[Replacement]:
    runs = spark.table(CI_RUNS.identifier)
    all_tests, jobs = spark.table(TESTS.identifier), spark.table(CI_JOBS.identifier)
    results = tests.leave_out_verdicts(spark.table(TEST_RESULTS.identifier), all_tests)
    scope = days_condition("run_date", days)
    daily = daily_job_health.transform(runs.where(scope), jobs, results.where(scope))
    weeks = weekly_test_health.affected_weeks(days)
    lookback = weekly_test_health.LOOKBACK_DAYS
    reach = spans_condition("run_date", days_of_weeks(weeks, lookback_days=lookback))
    weekly = weekly_test_health.transform(
        results.where(reach), runs.where(reach), jobs, all_tests, weeks=weeks
    )
    own_weeks = mondays(days)
    of_weeks = spans_condition("run_date", days_of_weeks(own_weeks))
    pairs = failing_pairs.transform(results.where(of_weeks), runs.where(of_weeks), all_tests)
    return [
        Replacement(DAILY_JOB_HEALTH, daily, "run_date", days, properties=mark),
        Replacement(WEEKLY_TEST_HEALTH, weekly, "week_date", weeks, properties=mark),
        Replacement(FAILING_PAIRS, pairs, "week_date", own_weeks, properties=mark),
    ]


def rebuild_kpi(
    spark: SparkSession, settings: Settings, catalog: Catalog, window: Window, restatement: Restatement
) -> None:
    """Make the ``kpi`` tables of the window's days and of the weeks that they touch again."""
    run_id = f"rebuild_kpi_{window.start}"
    audit = auditor(settings, catalog, day=window.start)
    answers = _answers(spark, list(window.days), {})
    replace_days(spark, catalog, answers, audit=audit, run_id=run_id, note=restatement.note)
