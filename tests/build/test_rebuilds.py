"""Rebuilds on a lake in a folder: what a fixed decoder or transform says reaches what is published."""

import json
from datetime import date, timedelta

import pyarrow as pa
import pytest
from tests.support.builders import make_row
from tests.support.built_lake import (
    DAY,
    FINAL,
    HALF,
    KilledError,
    build,
    core_tables,
    exceed_memory,
    kpi_tables,
    land,
    stop_points,
)
from tests.support.grids import make_table

from cilake.build import rounds
from cilake.build.half_published import is_half_published
from cilake.build.tables import build_tables
from cilake.build.take_back import RollbackError
from cilake.commands import rebuild
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.errors import PermanentError
from cilake.lake.snapshots import snapshot_id
from cilake.publish.restatements import NOTE
from cilake.transforms.engines import DuckEngine
from cilake.windows import DayError, Window

pytestmark = pytest.mark.spark
FIRST_RUN_DAY = date(2021, 6, 22)


def test_a_mended_decoder_reaches_what_is_published_and_there_is_a_way_back(lake, monkeypatch):
    """Also where the payloads are read again in rounds."""
    monkeypatch.setattr(rounds, "ROUND_BYTES", 1)
    right, wrong = build_as_an_earlier_version(lake)
    assert set(build(lake).values()) == {0}, "no payload is new"
    window = Window(DAY, DAY + timedelta(days=1))
    done = rebuild.rebuild(lake.settings, window, names=["core"], reason="verdicts")
    assert core_tables(lake) == right
    assert {name: counts for name, counts in done.items() if name.startswith("core")} == {
        "core.ci_jobs": {"removed": 2, "added": 2},
        "core.ci_run_observations": {"removed": 0, "added": 3},
        "core.ci_runs": {"removed": 3, "added": 3},
    }
    reasons = lake.rows("ops.restatements", "table_address", "reason")
    assert ("core.ci_runs", "verdicts") in reasons
    assert rows_changed_by(lake, done["restatement_id"], CI_RUNS) == {
        "removed": set(wrong["ci_runs"]) - set(right["ci_runs"]),
        "added": set(right["ci_runs"]) - set(wrong["ci_runs"]),
    }
    rebuild.rollback(lake.settings, done["restatement_id"])
    assert core_tables(lake) == wrong
    now = snapshot_id(lake.catalog, CI_RUNS)
    old = {"restatement_id": "old", "table_address": CI_RUNS.address}
    old |= {"from_snapshot_id": 1, "to_snapshot_id": now}
    lake.insert("ops.restatements", [make_row("ops.restatements", **old)])
    for gone, message in (
        (done["restatement_id"], "taken back already"),
        ("nosuch", "no restatement"),
        (f"rollback_{done['restatement_id']}", "is a rollback"),
        ("old", "before old is no longer kept"),
    ):
        with pytest.raises(RollbackError, match=message):
            rebuild.rollback(lake.settings, gone)
    lake.insert("ops.receipts", [make_row("ops.receipts", partition_date=DAY.isoformat())])
    later = Window(window.end, window.end + timedelta(days=1))
    with pytest.raises(DayError, match=f"{window.end} has not been landed: the newest landed day is {DAY}"):
        rebuild.rebuild(lake.settings, later, names=["core"], reason="too early")


def rows_changed_by(lake, restatement_id, table):
    """The rows that a restatement removed and added, by the tags of the table before and after it."""
    present = lake.catalog.load_table(table.address)
    before, after = (
        {
            tuple(row.values())
            for row in present.scan().use_ref(f"{restatement_id}_{when}").to_arrow().to_pylist()
        }
        for when in ("before", "after")
    )
    return {"removed": before - after, "added": after - before}


def test_rows_that_the_same_version_of_the_decoder_made_wrong_are_mended_by_a_rebuild(lake):
    """One run has a wrong verdict and hash, the other a wrong result, which its own row does not show."""
    window = Window(DAY, DAY + timedelta(days=1))
    land(lake, FINAL)
    build(lake)
    build_tables(lake.settings, window, step="build_kpi_ci_health")
    right, answers = core_tables(lake), kpi_tables(lake)
    for name in ("ci_run_observations", "ci_runs"):
        overwrite(lake, f"core.{name}", result="passed", content_hash="f" * 32, of=("build_id", "1002"))
    overwrite(lake, "core.ci_run_observations", test_statuses=["failed", "failed"], of=("build_id", "1001"))
    overwrite(lake, "core.test_results", test_status="failed", of=("test_status", "passed"))
    assert core_tables(lake) != right
    overwrite(lake, "kpi.daily_job_health", passed_count=7)
    assert set(build(lake).values()) == {0}, "a build goes by versions"
    done = rebuild.rebuild(lake.settings, window, names=["core"], reason="statuses")
    assert core_tables(lake) == right
    one = {"removed": 1, "added": 1}
    assert {name: counts for name, counts in done.items() if name.startswith("core")} == {
        "core.ci_run_observations": {"removed": 2, "added": 2},
        "core.ci_runs": one,
        "core.test_results": one,
    }
    again = rebuild.rebuild(lake.settings, window, names=["core"], reason="once more")
    assert again == {"restatement_id": None}, "nothing is left to fix"
    build_tables(lake.settings, window, step="build_kpi_ci_health")
    assert kpi_tables(lake) == answers, (
        "a build of the KPI tables follows, though its runs are of one version"
    )
    lake.catalog.drop_table("raw.example_ci__builds")  # of a source that was added, and has not landed yet
    day = FIRST_RUN_DAY
    overwrite(lake, "kpi.daily_job_health", passed_count=7, of=("run_date", day))
    rebuild.rebuild(lake.settings, Window(day, day + timedelta(days=2)), names=["kpi"], reason="sums")
    assert kpi_tables(lake) == answers
    restated = lake.rows("ops.restatements", "table_address", "reason", "removed_count", "added_count")
    assert [row for row in restated if row[1] == "sums"] == [("kpi.daily_job_health", "sums", 1, 1)]


def test_the_answers_follow_a_rebuild_of_results_alone_and_its_way_back(lake, monkeypatch, caplog):
    """What exceeds the memory of this process is made in Spark."""
    window = Window(DAY, DAY + timedelta(days=1))
    land(lake, FINAL)
    build(lake)
    overwrite(lake, "core.test_results", test_status="passed", of=("test_status", "failed"))
    build_tables(lake.settings, window, step="build_kpi_ci_health")
    wrong, answers = core_tables(lake), kpi_tables(lake)
    done = rebuild.rebuild(lake.settings, window, names=["core"], reason="statuses")
    assert {name: counts["added"] for name, counts in done.items() if name.startswith("core")} == {
        "core.ci_runs": 0,
        "core.test_results": 3,
    }
    with monkeypatch.context() as short_of_memory:
        short_of_memory.setattr(DuckEngine, "sql", exceed_memory)
        build_tables(lake.settings, window, step="build_kpi_ci_health")
    assert kpi_tables(lake) != answers
    assert "kpi.failing_pairs: too many rows; making it in Spark" in caplog.text
    rebuild.rollback(lake.settings, done["restatement_id"])
    assert core_tables(lake) == wrong
    build_tables(lake.settings, window, step="build_kpi_ci_health")
    assert kpi_tables(lake) == answers


def test_a_rebuild_and_a_rollback_that_are_killed_are_recorded_and_finished(lake, monkeypatch):
    right, wrong = build_as_an_earlier_version(lake)
    window = Window(DAY, DAY + timedelta(days=1))
    stops = stop_points(monkeypatch)
    stops[:] = ["publish:core.ci_jobs"]
    with monkeypatch.context() as killed:
        killed.setattr(rebuild, "record_restatements", lambda *_: {})
        with pytest.raises(KilledError):
            rebuild.rebuild(lake.settings, window, names=["core"], reason="first try")
    stops.clear()
    second = rebuild.rebuild(lake.settings, window, names=["core"], reason="second try")
    assert core_tables(lake) == right
    assert lake.rows("ops.restatements", "table_address", "reason") == [
        ("core.ci_jobs", "first try"),
        ("core.ci_run_observations", "second try"),
        ("core.ci_runs", "second try"),
    ]

    stops[:] = ["publish:core.ci_run_observations"]
    with pytest.raises(KilledError):
        rebuild.rollback(lake.settings, second["restatement_id"])
    stops.clear()
    rebuild.rollback(lake.settings, second["restatement_id"])
    found = core_tables(lake)
    assert found["ci_runs"] == wrong["ci_runs"]
    undone = {row for row in lake.rows("ops.restatements", "table_address", "reason") if "rollback" in row[1]}
    assert {address for address, _ in undone} == {"core.ci_run_observations", "core.ci_runs"}
    with pytest.raises(RollbackError, match="taken back already"):
        rebuild.rollback(lake.settings, second["restatement_id"])
    with pytest.raises(PermanentError, match="--reason takes one line"):
        rebuild.rebuild(lake.settings, window, names=["core"], reason=" ")


def test_what_a_killed_rebuild_left_is_finished_by_the_next_build(lake, monkeypatch):
    right, _ = build_with_wrong_results(lake)
    kill_rebuild(lake, stop_points(monkeypatch))
    build(lake)
    assert core_tables(lake) == right
    reasons = dict(lake.rows("ops.restatements", "table_address", "reason"))
    assert reasons.keys() >= {"core.test_results", "core.ci_runs"}
    assert set(reasons.values()) == {"killed"}


def test_a_rebuild_that_was_killed_is_taken_back_for_good_before_and_after_it_is_finished(lake, monkeypatch):
    right, wrong = build_with_wrong_results(lake)
    stops = stop_points(monkeypatch)
    for is_finished in (False, True):
        killed = kill_rebuild(lake, stops)
        if is_finished:
            rebuild.record_restatements(lake.spark, lake.catalog)  # as the maintenance does
            build(lake)
            assert core_tables(lake) == right
        rebuild.rollback(lake.settings, killed)
        build(lake)
        assert core_tables(lake) == wrong
        assert not is_half_published(lake.catalog)
        with pytest.raises(RollbackError, match="taken back already"):
            rebuild.rollback(lake.settings, killed)
        recorded = lake.rows("ops.restatements", "restatement_id", "table_address")
        assert len(recorded) == len(set(recorded))


def test_a_rebuild_that_followed_a_killed_build_is_taken_back_to_that_and_the_next_build_goes_on(
    lake, monkeypatch
):
    _, wrong = build_with_wrong_results(lake)
    stops = stop_points(monkeypatch)
    land(lake, make_table({"Overall": [1], "a": [1]}, job="new", changelists=["3001"]), tab="board/new")
    stops[:] = [HALF]
    with pytest.raises(KilledError):
        build(lake)
    killed = kill_rebuild(lake, stops)
    rebuild.rollback(lake.settings, killed)
    assert is_half_published(lake.catalog)
    build(lake)
    found = core_tables(lake)
    assert not is_half_published(lake.catalog)
    assert {name: len(set(rows) - set(wrong[name])) for name, rows in found.items()} == {
        "ci_runs": 1,
        "test_results": 2,
        "tests": 0,
        "ci_jobs": 1,
    }
    assert all(set(wrong[name]) <= set(rows) for name, rows in found.items())


def test_a_rebuild_is_not_taken_back_to_what_a_killed_build_left(lake, monkeypatch):
    right, _ = build_with_wrong_results(lake)
    stops = stop_points(monkeypatch)
    land(lake, make_table({"Overall": [1], "a": [1]}, job="new", changelists=["3001"]), tab="board/new")
    stops[:] = [HALF]
    with pytest.raises(KilledError):
        build(lake)
    stops.clear()
    window = Window(DAY, DAY + timedelta(days=1))
    done = rebuild.rebuild(lake.settings, window, names=["core"], reason="statuses")["restatement_id"]
    assert not is_half_published(lake.catalog)
    with pytest.raises(
        RollbackError, match=f"before {done} the core tables were as a killed build left them"
    ):
        rebuild.rollback(lake.settings, done)
    build(lake)
    assert all(set(right[name]) <= set(rows) for name, rows in core_tables(lake).items())


def test_a_rollback_that_was_killed_anywhere_is_finished_by_whatever_comes_next(lake, monkeypatch):
    """Also where the maintenance has merged files of a table since."""
    right, wrong = build_with_wrong_results(lake)
    stops = stop_points(monkeypatch)
    window = Window(DAY, DAY + timedelta(days=1))
    lake.insert("ops.restatements", [make_row("ops.restatements", restatement_id="other")])
    for killed_at, follows in (
        ("core.ci_jobs", "build"),
        ("core.ci_run_observations", "rollback"),
        ("core.test_results", "build"),
        ("core.test_results", "rebuild"),
        ("core.ci_runs", "build"),
    ):
        done = rebuild.rebuild(lake.settings, window, names=["core"], reason="statuses")["restatement_id"]
        assert core_tables(lake) == right
        stops[:] = [f"publish:{killed_at}"]
        with pytest.raises(KilledError):
            rebuild.rollback(lake.settings, done)
        stops.clear()
        assert is_half_published(lake.catalog), "nothing is scored meanwhile"
        overwrite(lake, "core.ci_runs")
        with pytest.raises(RollbackError, match=f"rollback_{done} is half done"):
            rebuild.rollback(lake.settings, "other")
        if follows == "build":
            build(lake)
        elif follows == "rebuild":
            rebuild.rebuild(lake.settings, window, names=["kpi.daily_job_health"], reason="sums")
        else:
            rebuild.rollback(lake.settings, done)
        assert core_tables(lake) == wrong
        assert not is_half_published(lake.catalog)
        with pytest.raises(RollbackError, match="taken back already"):
            rebuild.rollback(lake.settings, done)


def kill_rebuild(lake, stops):
    """Kill a rebuild when it has published results and not their runs; return its id."""
    stops[:] = [HALF]
    with pytest.raises(KilledError):
        rebuild.rebuild(lake.settings, Window(DAY, DAY + timedelta(days=1)), names=["core"], reason="killed")
    stops.clear()
    return json.loads(lake.catalog.load_table("core.test_results").properties[NOTE])["restatement_id"]


def build_with_wrong_results(lake):
    """Leave tables as an earlier decoder would have, in all of them; return right and wrong."""
    right, _ = build_as_an_earlier_version(lake)
    overwrite(lake, "core.ci_run_observations", test_statuses=["passed", "passed"], of=("build_id", "1001"))
    overwrite(lake, "core.test_results", test_status="passed")
    return right, core_tables(lake)


def test_a_rebuild_that_is_killed_in_a_later_round_is_finished(lake, monkeypatch):
    right, _ = build_as_an_earlier_version(lake)
    monkeypatch.setattr(rounds, "ROUND_BYTES", 1)
    (run_key, test_key), *_ = lake.rows("core.test_results", "run_key", "test_key")
    left_out = {"test_keys": [test_key], "test_statuses": ["failed"], "messages": [None], "result_count": 1}
    for (key,) in lake.rows("core.ci_runs", "run_key"):
        if key == run_key:
            overwrite(lake, "core.ci_run_observations", of=("run_key", run_key), **left_out)
            overwrite(lake, "core.ci_runs", of=("run_key", run_key), result_count=1)
    lake.catalog.load_table("core.test_results").delete(f"run_key = {run_key} and test_key != {test_key}")
    stops = stop_points(monkeypatch)
    for stopped in ([HALF], [HALF, "once"]):
        stops[:] = stopped
        with pytest.raises(KilledError):
            rebuild.rebuild(
                lake.settings, Window(DAY, DAY + timedelta(days=1)), names=["core"], reason="killed"
            )
    stops.clear()
    build(lake)
    assert core_tables(lake) == right
    assert not is_half_published(lake.catalog)


def build_as_an_earlier_version(lake):
    """Leave tables as an earlier decoder would have: other verdicts and a release; return right and wrong."""
    land(lake, FINAL)
    other = make_table({"Overall": [1]}, job="e2e-gcp-4.8", changelists=["2001"])
    land(lake, other, tab="board/other")
    build(lake)
    right = core_tables(lake)
    for name in ("ci_run_observations", "ci_runs"):
        overwrite(lake, f"core.{name}", decoder_version=1, result="passed")
    overwrite(lake, "core.ci_jobs", release="0.1")
    return right, core_tables(lake)


def overwrite(lake, address, *, of=None, **values):
    """Give all rows of a table other values, or those that have one value in a column."""
    table = lake.catalog.load_table(address)
    rows = table.scan().to_arrow().to_pylist()
    rows = [row | values if of is None or row[of[0]] == of[1] else row for row in rows]
    table.overwrite(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
