"""Land, build, score, measure on the real stack: counts against the source, repeats, kills, a backfill.

The tests go through one story in the order they are written: each night finds what the ones before left.
"""

import json
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deploy.local import processes
from deploy.local.layout import Layout
from tests.integration.recorded_nights import (
    CHAIN,
    FORKS,
    LATER,
    LEDGER,
    NIGHTS,
    TESTS,
    end_of,
    promote,
    results_until,
    run_alone,
)
from tests.support.waiting import wait_until

from cilake import cli
from cilake.build import core
from cilake.commands.maintain import LISTED, MERGE_AT, maintain_table, remove_orphans
from cilake.contracts.registry import tables
from cilake.lake.catalog import arrow_schema, open_catalog
from cilake.lake.schema import conform
from cilake.lake.session import spark_session
from cilake.publish.branch import open_branch, write_audit_publish
from cilake.settings import read_settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]


def test_every_result_is_there_once(played):
    lake, nights = played
    assert lake.statuses() == results_until(end_of(NIGHTS[-1]))
    assert nights[0]["landed"] == 2 + 3, "two summaries and three tabs"
    assert sum(night["core.test_results"] for night in nights) == sum(lake.statuses().values())
    runs = lake.sql("select count(*) as n, count(distinct build_id) as builds from core.ci_runs")[0]
    assert runs["n"] == 2 * runs["builds"]


def test_predictions_are_measured_by_the_next_night(played):
    lake, nights = played
    assert nights[0]["predictions.test_failure"] == 2 * TESTS
    assert nights[0]["predictions.test_failure_outcomes"] == 0
    assert nights[1]["predictions.test_failure_outcomes"] == 2 * TESTS
    broken = lake.sql(
        "select failure_probability, shrunken_probability, test_name from predictions.test_failure p "
        "join core.tests using (test_key) where prediction_date = date '2021-06-07' order by 1 desc limit 2"
    )
    assert {row["test_name"] for row in broken} == {"[sig-1] test of everything"}
    scorers = lake.sql("select distinct scorer from predictions.accuracy order by 1")
    assert [row["scorer"] for row in scorers] == ["base_rate", "last_value", "model", "shrunken_history"]


def test_training_without_history_ends_well_and_says_what_is_missing(played):
    lake, _ = played
    day = NIGHTS[0] - timedelta(days=30)
    reason = f"no test has two results in the 120 days until the end of {day}"
    assert lake.work("train", "test_failure", day) == {
        "model_version": None,
        "is_promoted": False,
        "reason": reason,
    }
    versions = lake.sql("select count(*) as n from ops.model_versions")
    assert versions == [{"n": 0}]
    assert f"not trained: {reason}; the baseline serves" in (lake.folder / "err").read_text()


def test_spark_reads_as_the_command_and_its_sessions_share_one_daemon_of_python_workers(played):
    """The nights were built without Spark, which starts a daemon for each session by itself (ADR 0010)."""
    lake, _ = played
    home, before = lake.stack.home, lake.contents()
    for day in NIGHTS[:2]:
        args = ["rebuild", "core", "--start", day.isoformat(), "--reason", "both engines agree"]
        assert lake.run(cli.main, args) == {"restatement_id": None}
    assert lake.contents() == before
    of_stack = processes.ours(Layout(home, home))
    daemons = {os.getpgid(pid) for pid, line in of_stack.items() if "worker_daemon" in line}
    assert len(daemons) == 1


def test_the_rows_that_a_rebuild_changed_can_be_selected(played):
    lake, _ = played
    before, lost = lake.contents(), "run_date = '2021-06-06' and job_name = 'e2e-aws-4.8'"
    lake.run(lose, "kpi.daily_job_health", lost)
    of_day = ["--start", NIGHTS[0].isoformat(), "--reason", "a row is lost"]
    done = lake.run(cli.main, ["rebuild", "kpi.daily_job_health", *of_day])
    assert done["kpi.daily_job_health"] == {"removed": 0, "added": 1}
    versions = [f"'{done['restatement_id']}_{when}'" for when in ("after", "before")]
    rows = [f"select run_date, job_name from kpi.daily_job_health for version as of {v}" for v in versions]
    assert lake.sql(" except ".join(rows)) == [{"run_date": "2021-06-06", "job_name": "e2e-aws-4.8"}]
    assert lake.contents() == before


def lose(address, where):
    """Delete rows of a table behind the platform's back."""
    open_catalog(read_settings()).load_table(address).delete(where)
    print("{}")


def test_an_earlier_night_again_changes_nothing(played):
    """Also where a run of that night became known a day late: the later night brought it up to date."""
    lake, _ = played
    before = lake.contents()
    snapshots = 'select count(*) as n from core."test_results$snapshots"'
    snapshot_count = lake.sql(snapshots)
    again = lake.play(NIGHTS[0])
    assert {name: again[name] for name in again if name in tables()} == dict.fromkeys(
        (table.address for table in tables().values() if table.namespace in LEDGER[1:]), 0
    )
    assert again["landed"] == 0
    assert lake.contents() == before
    assert lake.sql(snapshots) == snapshot_count


def test_a_day_that_has_not_begun_at_the_source_is_refused(played):
    lake, _ = played
    before = lake.contents()
    landing = lake.start("land", "testgrid", NIGHTS[-1] + timedelta(days=2))
    _, errors = landing.communicate(timeout=300)
    assert landing.returncode == 2, "a retry cannot fix that"
    assert "2021-06-09 has not begun: the source's clock says 2021-06-07 00:00 UTC" in errors
    assert lake.contents() == before


STOPS = ("write:core.test_results", "audit:core.ci_runs", "publish:core.test_results")


def test_a_killed_build_leaves_the_tables_and_then_builds_the_same(played):
    lake, _ = played
    before = lake.contents()
    lake.set_clock(LATER[0])
    lake.work("land", "testgrid", LATER[0])
    for stop in STOPS:
        build = lake.start("build", "core_ci", LATER[0], CILAKE_STOP_AFTER=stop)
        build.communicate(timeout=300)
        assert build.returncode == -signal.SIGKILL, stop
        changed = {row["address"] for row in lake.contents() if row not in before}
        published = stop.startswith("publish")
        assert ("core.test_results" in changed) == published, "only what was audited is published"
        assert "core.ci_runs" not in changed
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(core, "FEW_BYTES", 0)  # as a build of many payloads, by which no job is new
        lake.run(cli.main, ["build", "core_ci", "--start", LATER[0].isoformat()])
    assert lake.statuses() == results_until(end_of(LATER[0]))
    assert audit_branches(lake) == [], "what the killed ones left is gone"


def test_a_build_that_is_asked_to_end_leaves_nothing_behind(played):
    lake, _ = played
    lake.set_clock(LATER[1])
    lake.work("land", "testgrid", LATER[1])
    before = lake.contents()
    build = lake.start("build", "core_ci", LATER[1])
    seen = next((line for line in build.stderr if "core." in line and ": written to" in line), None)
    build.send_signal(signal.SIGTERM)
    build.communicate(timeout=60)
    assert seen, "the build ended before it wrote"
    assert build.returncode == 128 + signal.SIGTERM
    assert audit_branches(lake) == []
    assert lake.contents() == before


def test_a_killed_try_whose_append_goes_on_on_the_server_publishes_nothing(played, tmp_path):
    """The client is gone, the server works on: its append is committed while the retry is audited."""
    lake, _ = played
    killed, marks = append_until_it_waits(lake, tmp_path)
    killed.kill()
    killed.join(30)
    assert killed.exitcode == -signal.SIGKILL
    assert lake.run(publish_a_retry, marks) == {"audited": ["retry"], "published": ["retry"]}


def test_a_try_that_is_asked_to_end_takes_its_append_on_the_server_along(played, tmp_path):
    lake, _ = played
    ended, marks = append_until_it_waits(lake, tmp_path)
    ended.terminate()
    ended.join(60)
    assert ended.exitcode == 128 + signal.SIGTERM
    Path(marks["released"]).touch()
    assert lake.run(append_another) == ["another"], "nothing of the try that ended"


def append_until_it_waits(lake, folder):
    """Start a try whose append the server holds back; return it, and files that say how far it is."""
    marks = {name: str(folder / name) for name in ("started", "released")}
    files = folder / "out", folder / "err"
    process = FORKS.Process(target=run_alone, args=(append_slowly, (marks,), lake.environment, *files))
    process.start()
    try:
        wait_until(lambda: Path(marks["started"]).exists())
    except BaseException:
        process.kill()
        raise
    return process, marks


SCRATCH = replace(tables()["core.tests"], address="core.tests_of_a_killed_try")


def append_slowly(marks):
    """Append a row that the server holds back until it is released, long after this process is gone."""
    settings = read_settings()
    catalog = open_catalog(settings)
    catalog.create_table(SCRATCH.address, arrow_schema(SCRATCH))

    def hold(batches):
        Path(marks["started"]).touch()
        deadline = time.monotonic() + 120
        while not Path(marks["released"]).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield from batches

    signal.signal(signal.SIGTERM, cli._end_politely)
    with spark_session(settings, app_name="killed try") as spark:
        branch = open_branch(spark, catalog, SCRATCH, "core_killed")
        rows = row_named(spark, "killed")
        branch.append(rows.mapInArrow(hold, rows.schema))


def publish_a_retry(marks):
    """Print what the retry audits and publishes while the append of the killed try is committed."""
    settings = read_settings()
    catalog = open_catalog(settings)
    audited = []

    def audit(branch):
        audited.extend(row.test_name for row in branch.rows().collect())
        Path(marks["released"]).touch()
        # Iceberg makes the branch of the killed try, which the retry dropped, again.
        wait_until(lambda: set(catalog.load_table(SCRATCH.address).refs()) > {"main", branch.name})

    with spark_session(settings, app_name="retry") as spark:
        branch = open_branch(spark, catalog, SCRATCH, "core_killed")
        write_audit_publish([branch], lambda opened: opened.append(row_named(spark, "retry")), audit)
        published = [row.test_name for row in spark.table(SCRATCH.identifier).collect()]
    catalog.drop_table(SCRATCH.address)
    print(json.dumps({"audited": audited, "published": published}))


def append_another():
    """Append a row; print the names of all rows that the table has on any branch then."""
    settings = read_settings()
    catalog = open_catalog(settings)
    with spark_session(settings, app_name="another try") as spark:
        open_branch(spark, catalog, SCRATCH, "core_another").append(row_named(spark, "another"))
        names = {
            row.test_name
            for snapshot in catalog.load_table(SCRATCH.address).snapshots()
            for row in spark.read.option("versionAsOf", str(snapshot.snapshot_id))
            .table(SCRATCH.identifier)
            .collect()
        }
    catalog.drop_table(SCRATCH.address)
    print(json.dumps(sorted(names)))


def row_named(spark, name):
    row = spark.createDataFrame([(1, name, False)], "test_key bigint, test_name string, is_verdict boolean")
    return conform(row, SCRATCH)


def audit_branches(lake):
    """The audit branches of the core tables."""
    refs = [
        f"select name from core.\"{name}$refs\" where name like 'audit%'"
        for name in ("tests", "ci_jobs", "ci_run_observations", "test_results", "ci_runs")
    ]
    return [row["name"] for row in lake.sql(" union all ".join(refs))]


def test_a_backfill_of_a_range_gives_each_key_once(played):
    lake, _ = played
    lake.set_clock(LATER[1])
    end = LATER[1] + timedelta(days=1)
    for verb, address in CHAIN:
        lake.work(verb, address, LATER[0], end)
    assert lake.statuses() == results_until(end_of(LATER[1]))
    for table in (t for t in tables().values() if t.namespace in LEDGER):
        keys = ", ".join(table.primary_key)
        doubled = lake.sql(
            f"select {keys}, count(*) as n from {table.address} group by {keys} having count(*) > 1"
        )
        assert doubled == [], table.address
    days = lake.sql("select distinct prediction_date from predictions.test_failure order by 1")
    assert [row["prediction_date"] for row in days] == [day.isoformat() for day in NIGHTS + LATER]


def test_a_champion_is_trained_and_serves_also_after_a_kill(played):
    """Its gate wants weeks of decisions, which this world does not have: it is promoted here."""
    lake, _ = played
    trained = lake.work("train", "test_failure", LATER[1])
    assert trained["trained_rows"] > 2 * TESTS
    assert not trained["is_promoted"]
    lake.run(promote, trained["model_version"])
    day = LATER[1] + timedelta(days=1)
    lake.set_clock(day)
    for verb, address in CHAIN[:3]:
        lake.work(verb, address, day)
    killed = lake.start("score", "test_failure", day, CILAKE_STOP_AFTER="audit:predictions.test_failure")
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    counts = "select count(*) as n, count(distinct failure_probability) as own, count(abstain_reason) as no"
    of_day = f"from predictions.test_failure where prediction_date = date '{day}'"
    assert lake.sql(f"{counts} {of_day}")[0]["n"] == 0
    lake.work("score", "test_failure", day)
    (found,) = lake.sql(f"{counts}, min(model_version) as first, max(model_version) as last {of_day}")
    assert (found["n"], found["first"], found["last"]) == (2 * TESTS, *[trained["model_version"]] * 2)
    assert found["no"] < found["n"] and found["own"] > 5
    lake.work("measure", "test_failure", day)


def test_upkeep_leaves_few_files_and_every_row(played):
    lake, _ = played
    counted = (
        "select count(*) as n, checksum(row(table_address, command, started_at)) as c from ops.table_updates"
    )
    before, records = lake.contents(), lake.sql(counted)
    assert small_files(lake)["ops.table_updates"] >= MERGE_AT
    counts = lake.work("maintain", "lake", LATER[1])
    assert counts["merged_files"] >= MERGE_AT
    assert lake.contents() == before
    assert lake.sql(counted) == records
    assert {address: n for address, n in small_files(lake).items() if n >= MERGE_AT} == {}
    sunday = LATER[1] + timedelta(days=(6 - LATER[1].weekday()) % 7)
    assert lake.work("maintain", "lake", sunday) == dict.fromkeys(counts, 0), "nothing is left to do"


def small_files(lake):
    """By table the number of files in the partition that has most, all of them small here."""
    counts = []
    for address, declared in tables().items():
        namespace, name = address.split(".")
        partitioned = ", partition" if declared.partition_by else ""
        counts.append(
            f"select '{address}' as address, max(n) as n from "
            f'(select count(*) as n from {namespace}."{name}$files" group by spec_id{partitioned})'
        )
    return {row["address"]: row["n"] or 0 for row in lake.sql(" union all ".join(counts))}


def test_upkeep_removes_what_killed_runs_left_and_nothing_that_may_be_in_use(played):
    lake, _ = played
    before = lake.contents()
    at_once, later = lake.run(look_after_a_killed_run)
    assert at_once == {"counts": {}, "orphans": 0, "left": True, "branch": True}
    assert later["counts"]["removed_branches"] == 1
    assert later["counts"]["removed_snapshots"] >= 1
    assert (later["orphans"], later["left"], later["branch"]) == (1, False, False)
    assert lake.contents() == before


def look_after_a_killed_run():
    """Print what maintenance does with a branch and a file that nothing needs, now and when they are old.

    Iceberg looks at the clock before it removes files: the second time they are listed as four days old.
    """
    settings, kept = read_settings(), tables()["kpi.daily_job_health"]
    catalog, now = open_catalog(settings), datetime.now(UTC)
    left = f"{catalog.load_table(kept.address).location()}/data/killed.parquet"
    found = []
    with spark_session(settings, app_name="maintenance") as spark:
        spark.sql(f"ALTER TABLE {kept.identifier} CREATE BRANCH audit_killed")
        rows = spark.table(kept.identifier).limit(1)
        rows.writeTo(f"{kept.identifier}.branch_audit_killed").append()
        files = catalog.load_table(kept.address).io
        with files.new_output(left).create() as file:
            file.write(b"half a file")
        present = catalog.load_table(kept.address)
        paths = [left, *present.inspect.files()["file_path"].to_pylist()]
        old = now - timedelta(days=4)
        listed = spark.createDataFrame(
            [(path, old) for path in paths], "file_path string, last_modified timestamp"
        )
        listed.createOrReplaceTempView("aged")
        for instant, listing in ((now, LISTED), (now + timedelta(days=4), "file_list_view => 'aged'")):
            present = catalog.load_table(kept.address)
            counts = maintain_table(spark, kept.identifier, present, expires_at=instant, now=instant)
            found.append(
                {
                    "counts": counts,
                    "orphans": remove_orphans(spark, kept.identifier, now=now, files=listing),
                    "left": files.new_input(left).exists(),
                    "branch": "audit_killed" in catalog.load_table(kept.address).refs(),
                }
            )
    print(json.dumps(found))
