"""``cilake build``: raw payloads to core tables, core tables to answers."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.apps.audit import auditor, prepare_audit
from cilake.apps.progress import say
from cilake.apps.replace import Replacement, days_condition, replace_days
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.daily_job_health import TABLE as DAILY_JOB_HEALTH
from cilake.contracts.kpi.failing_pairs import TABLE as FAILING_PAIRS
from cilake.contracts.kpi.weekly_test_health import TABLE as WEEKLY_TEST_HEALTH
from cilake.contracts.model import Table
from cilake.contracts.raw.testgrid__tables import TABLE as PAYLOADS
from cilake.lake.catalog import open_catalog
from cilake.lake.publish import Branch, open_branch, write_audit_publish
from cilake.lake.schema import conform
from cilake.lake.session import spark_session
from cilake.settings import Settings
from cilake.sources.testgrid.decode import SPARK_SCHEMA, payload_decoder
from cilake.transforms.core import ci_jobs, ci_runs, test_results, tests
from cilake.transforms.kpi import daily_job_health, failing_pairs, weekly_test_health
from cilake.windows import Window, mondays

PAYLOADS_PER_BATCH = 4
RUNS_PER_PARTITION = 4000


def build_core(settings: Settings, window: Window) -> dict[str, int]:
    """The rows written to each core table from the payloads landed in the window.

    ``core.ci_runs`` is published last and says which runs are complete: a build killed before that is
    simply done again, and results it may have published are replaced.
    """
    with spark_session(settings, app_name=f"build core {window.start}") as spark:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(PAYLOADS_PER_BATCH))
        published = _detach(
            spark, spark.table(CI_RUNS.identifier).select("run_key", "content_hash", "known_at")
        )
        marked = ci_runs.mark_changed(_decode(spark, window), published).persist()
        newest = ci_runs.select_newest(marked)
        runs = conform(ci_runs.transform(newest), CI_RUNS).persist()
        try:
            say("decoding payloads")
            return _publish_core(spark, settings, window, marked, newest, runs)
        finally:
            runs.unpersist()
            marked.unpersist()


def _detach(spark: SparkSession, rows: DataFrame) -> DataFrame:
    """The rows as data of the session's own: writing a table drops every cached plan that reads it."""
    return spark.createDataFrame(rows.toArrow(), rows.schema)


def _decode(spark: SparkSession, window: Window) -> DataFrame:
    payloads = spark.table(PAYLOADS.identifier).where(
        (F.col("partition_date") >= F.lit(window.start)) & (F.col("partition_date") < F.lit(window.end))
    )
    origin = F.concat_ws("|", "partition_date", "natural_id", "content_sha256").alias("origin")
    decoded = payloads.select("payload", "served_at", "partition_date", origin, "natural_id").mapInArrow(
        payload_decoder(),  # type: ignore[arg-type]  # pyspark's stubs ask for Iterable
        SPARK_SCHEMA,
    )
    return decoded.where("reject_reason is null")


def _publish_core(
    spark: SparkSession,
    settings: Settings,
    window: Window,
    marked: DataFrame,
    newest: DataFrame,
    runs: DataFrame,
) -> dict[str, int]:
    run_count, result_count, first, last = runs.agg(
        F.count("*"), F.coalesce(F.sum("result_count"), F.lit(0)), F.min("run_date"), F.max("run_date")
    ).collect()[0]
    say(f"{run_count:,} new or corrected runs with {result_count:,} results")
    runs.createOrReplaceTempView("changed_runs")
    of_changed_runs = (
        f"run_date BETWEEN DATE '{first}' AND DATE '{last}' AND run_key IN (SELECT run_key FROM changed_runs)"  # noqa: S608 - dates and names are ours
    )
    new_rows = {
        TESTS: tests.transform(marked, spark.table(TESTS.identifier)),
        CI_JOBS: ci_jobs.transform(marked, spark.table(CI_JOBS.identifier)),
        TEST_RESULTS: test_results.transform(
            newest, partition_count=max(1, -(-run_count // RUNS_PER_PARTITION))
        ),
        CI_RUNS: runs.repartition(1).sortWithinPartitions("run_date", "job_key", "started_at"),
    }
    touched = [table for table in (TESTS, CI_JOBS) if new_rows[table].head(1)]
    touched += [TEST_RESULTS, CI_RUNS] if run_count else []
    if touched:
        prepare_audit()
    before = {table: _count(spark, table) for table in touched}
    # Published runs are replaced; so is what a build killed between its publications left without runs.
    replaces = bool(run_count) and (_has_leftovers(spark) or _any_published(spark, of_changed_runs))

    def write(branch: Branch) -> None:
        if branch.table in (TEST_RESULTS, CI_RUNS) and replaces:
            branch.delete(of_changed_runs)
        branch.append(conform(new_rows[branch.table], branch.table))
        say(f"wrote {branch.table.address} to {branch.name}")

    run_id = f"core_{window.start}"
    catalog = open_catalog(settings)
    audit = auditor(settings, catalog, validation_id=run_id, day=window.start)
    write_audit_publish([open_branch(spark, catalog, table, run_id) for table in touched], write, audit)
    added = {table.address: _count(spark, table) - before[table] for table in touched}
    written = {table.address: added.get(table.address, 0) for table in new_rows}
    return written | {TEST_RESULTS.address: int(result_count), CI_RUNS.address: int(run_count)}


def _has_leftovers(spark: SparkSession) -> bool:
    total = F.coalesce(F.sum("result_count"), F.lit(0))
    expected = spark.table(CI_RUNS.identifier).agg(total).collect()[0][0]
    return int(expected) != _count(spark, TEST_RESULTS)


def _any_published(spark: SparkSession, of_changed_runs: str) -> bool:
    return bool(spark.table(CI_RUNS.identifier).where(of_changed_runs).head(1))


def _count(spark: SparkSession, table: Table) -> int:
    return spark.table(table.identifier).count()


def build_kpi(settings: Settings, window: Window) -> dict[str, int]:
    """The rows written to each ``kpi`` table for the days and weeks that the window's landings touch."""
    with spark_session(settings, app_name=f"build kpi {window.start}") as spark:
        runs = spark.table(CI_RUNS.identifier)
        landed = (F.col("landed_date") >= F.lit(window.start)) & (F.col("landed_date") < F.lit(window.end))
        days = [row[0] for row in runs.where(landed).select("run_date").distinct().collect()]
        say(f"{len(days)} days have new or corrected runs")
        if not days:
            return {DAILY_JOB_HEALTH.address: 0, WEEKLY_TEST_HEALTH.address: 0, FAILING_PAIRS.address: 0}
        run_id = f"kpi_{window.start}"
        catalog = open_catalog(settings)
        audit = auditor(settings, catalog, validation_id=run_id, day=window.start)
        all_tests, jobs = spark.table(TESTS.identifier), spark.table(CI_JOBS.identifier)
        results = tests.leave_out_verdicts(spark.table(TEST_RESULTS.identifier), all_tests)
        scope = days_condition("run_date", days)
        daily = daily_job_health.transform(runs.where(scope), jobs, results.where(scope))
        weeks = weekly_test_health.affected_weeks(days)
        reach = F.col("run_date").between(
            weeks[0] - timedelta(days=weekly_test_health.LOOKBACK_DAYS), weeks[-1] + timedelta(days=6)
        )
        weekly = weekly_test_health.transform(
            results.where(reach),
            runs.where(reach),
            jobs,
            all_tests,
            weeks=weeks,
        )
        own_weeks = mondays(days)
        of_weeks = F.col("run_date").between(own_weeks[0], own_weeks[-1] + timedelta(days=6))
        pairs = failing_pairs.transform(results.where(of_weeks), runs.where(of_weeks), all_tests)
        answers = [
            Replacement(DAILY_JOB_HEALTH, daily, "run_date", days),
            Replacement(WEEKLY_TEST_HEALTH, weekly, "week_date", weeks),
            Replacement(FAILING_PAIRS, pairs, "week_date", own_weeks),
        ]
        return replace_days(spark, catalog, answers, audit=audit, run_id=run_id)
