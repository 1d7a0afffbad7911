"""Builds on a lake in a folder: whatever the order of payloads and builds, the tables say the same once."""

import random
from dataclasses import replace
from datetime import date, timedelta

import pyarrow as pa
import pytest
from tests.support.builders import make_row
from tests.support.built_lake import DAY, KilledError, core_tables, land, stop_points
from tests.support.collisions import colliding_names
from tests.support.grids import make_table
from tests.support.lake_session import local_lake

from cilake.build import core, rounds, set_aside
from cilake.build.half_published import is_half_published
from cilake.build.rounds import ROUND_BYTES
from cilake.build.tables import build_tables
from cilake.commands import rebuild
from cilake.contracts.ci_instances import PROW
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.registry import made_by
from cilake.errors import PermanentError
from cilake.lake.snapshots import snapshot_id
from cilake.publish import few
from cilake.publish.audit import AuditError
from cilake.publish.few import FEW_ROWS
from cilake.quality import suite
from cilake.transforms.engines import DuckEngine
from cilake.windows import DayError, Window

pytestmark = pytest.mark.spark
RUNNING = make_table({"Overall": [4, 1], "a": [0, 12]})
FINAL = make_table({"Overall": [12, 1], "a": [12, 12]})
HALF = "publish:core.test_results"
"""The point at which results are published and their runs are not."""
FIRST_RUN_DAY = date(2021, 6, 22)


@pytest.fixture
def new_lake(spark, tmp_path_factory, monkeypatch):
    """Open another empty lake."""

    def opened():
        return stack.enter_context(local_lake(spark, tmp_path_factory.mktemp("lake") / "lake", monkeypatch))

    from contextlib import ExitStack

    with ExitStack() as stack:
        yield opened


@pytest.fixture
def lake(new_lake):
    return new_lake()


def run(lake, day=DAY, **settings):
    return core.build_core(replace(lake.settings, **settings), Window(day, day + timedelta(days=1)))


def statuses(lake):
    return [row[0] for row in lake.rows("core.test_results", "test_status")]


def test_a_payload_is_built_once_and_a_build_without_news_changes_nothing(lake):
    land(lake, RUNNING)
    lake.catalog.drop_table("raw.example_ci__builds")  # of a source that was added, and has not landed yet
    assert run(lake) == {
        "core.tests": 2,
        "core.ci_jobs": 1,
        "core.ci_run_observations": 2,
        "core.test_results": 3,
        "core.ci_runs": 2,
    }
    before = core_tables(lake)
    assert set(run(lake).values()) == {0}
    land(lake, RUNNING, hour=5)
    assert set(run(lake).values()) == {0}, "the same content again begins nothing"
    assert core_tables(lake) == before


def test_a_corrected_run_replaces_the_older_one_and_only_it(lake):
    land(lake, RUNNING)
    run(lake)
    land(lake, FINAL, hour=5)
    counts = run(lake, DAY + timedelta(days=2))  # a payload whose own day failed is built by the next
    assert (counts["core.ci_runs"], counts["core.test_results"]) == (1, 2)
    assert statuses(lake) == ["failed", "failed", "failed", "passed"]
    assert len(lake.rows("core.ci_run_observations", "run_key")) == 3


@pytest.mark.parametrize("days", [1, -200])
def test_a_run_whose_start_is_corrected_is_there_once_on_its_new_day(lake, days):
    land(lake, FINAL)
    run(lake)
    moved = FINAL | {"timestamps": [FINAL["timestamps"][0] + days * 86_400_000, FINAL["timestamps"][1]]}
    land(lake, moved, hour=5)
    run(lake)
    assert len(lake.rows("core.ci_runs", "run_key")) == 2
    assert len(statuses(lake)) == 4
    starts = sorted(at for (at,) in lake.rows("core.ci_runs", "started_at"))
    assert int(starts[-1 if days > 0 else 0].timestamp() * 1000) == moved["timestamps"][0]


def test_any_order_of_payloads_and_builds_gives_equal_tables(new_lake, monkeypatch):
    """Contents A, B, A; tabs that disagree; a moved start; an equal job name in another CI instance.

    Shuffled, all rows are written and judged in Spark, as many are.
    """
    moved = FINAL | {"timestamps": [FINAL["timestamps"][0] + 86_400_000, FINAL["timestamps"][1]]}
    landings = [
        (RUNNING, 1, "board/a"),
        (FINAL, 2, "board/a"),
        (RUNNING, 3, "board/a"),
        (moved, 2.5, "board/b"),
        (FINAL, 4, "board/b"),
        (FINAL | {"query": "kubernetes-jenkins/logs/e2e-aws-4.8"}, 5, "board/c"),
    ]
    found = []
    for seed in range(2):
        order = random.Random(seed)
        lake = new_lake()
        monkeypatch.setattr(few, "FEW_ROWS", 0 if seed else FEW_ROWS)
        shuffled = order.sample(landings, len(landings)) if seed else landings
        for table, hour, tab in shuffled:
            land(lake, table, hour=hour, tab=tab)
            if order.random() < 0.6:
                run(lake)
        run(lake)
        found.append(core_tables(lake))
    assert all(one == found[0] for one in found[1:])
    assert len(found[0]["ci_jobs"]) == 2
    lake = new_lake()
    for table, hour, tab in landings:
        land(lake, table, hour=hour, tab=tab)
    stops = stop_points(monkeypatch)
    monkeypatch.setattr(rounds, "ROUND_BYTES", 1)
    stops[:] = ["publish:core.ci_runs"]
    with pytest.raises(KilledError):
        run(lake)
    stops.clear()
    assert sum(run(lake).values()), "the first of three rounds was published, and no payload counts as built"
    assert core_tables(lake) == found[0], "in rounds, one for each tab"
    assert set(run(lake).values()) == {0}


def test_a_late_payload_makes_later_ones_count_that_show_what_was_before_it(new_lake):
    """The payload right after the late one does not show the run at all."""
    changed = make_table({"Overall": [12, 1], "a": [12, 1]})
    other = make_table({"Overall": [1]}, job="e2e-aws-4.8", changelists=["2001"])
    landings = [(FINAL, 1), (changed, 2), (other, 3), (FINAL, 4)]
    found = []
    for order in ((0, 1, 2, 3), (0, 2, 3, 1)):
        lake = new_lake()
        for number in order:
            table, hour = landings[number]
            land(lake, table, hour=hour)
            run(lake)
        found.append((core_tables(lake), len(lake.rows("core.ci_run_observations", "run_key"))))
    assert found[0] == found[1]


def test_a_run_whose_key_is_taken_is_set_aside_and_the_names_of_its_tests_are_kept(lake):
    """Job and build of both runs are the same once joined; the names of a payload are with its first run."""
    land(lake, make_table({"a": [1]}, job="x\x1fb", changelists=["c"]), hour=1, tab="board/first")
    taken = make_table({"a": [1, 1], "only here": [1, 1]}, job="x", changelists=["b\x1fc", "1"])
    land(lake, taken, hour=2, tab="board/second")
    run(lake)
    assert [row[0] for row in lake.rows("core.ci_runs", "build_id")] == ["1", "c"]
    ((part, reason),) = lake.rows("ops.quarantine", "part", "reason")
    assert part == "b\x1fc" and reason.startswith("taken_run_key")
    names = {key for (key,) in lake.rows("core.tests", "test_key")}
    assert {key for (key,) in lake.rows("core.test_results", "test_key")} == names


def test_what_a_killed_rebuild_left_is_finished_by_the_next_build(lake, monkeypatch):
    right, _ = build_as_an_earlier_version(lake)
    overwrite(lake, "core.ci_run_observations", test_statuses=["passed", "passed"], of=("build_id", "1001"))
    overwrite(lake, "core.test_results", test_status="passed")
    stops = stop_points(monkeypatch)
    stops[:] = ["publish:core.test_results"]
    with pytest.raises(KilledError):
        rebuild.rebuild(lake.settings, Window(DAY, DAY + timedelta(days=1)), names=["core"], reason="killed")
    stops.clear()
    run(lake)
    assert core_tables(lake) == right
    reasons = dict(lake.rows("ops.restatements", "table_address", "reason"))
    assert reasons.keys() >= {"core.test_results", "core.ci_runs"}
    assert set(reasons.values()) == {"killed"}


def test_runs_with_a_row_that_breaks_a_rule_go_to_quarantine_and_the_rest_is_published(lake, monkeypatch):
    rule = {"column": "run_key", "column_list": ["failed_count"], "condition": "failed_count = 0"}
    entry = {"id": "none_failed", "type": "expect_rows_to_satisfy", "kwargs": rule}
    entry |= {"severity": "critical", "notes": "A rule that one of the runs breaks."}
    written = suite.read

    def read(table, root=None):
        return [*written(table, root), *([entry] if table is CI_RUNS else [])]

    monkeypatch.setattr(suite, "read", read)
    land(lake, RUNNING)
    with (
        monkeypatch.context() as patched,
        pytest.raises(AuditError, match=r"core\.ci_runs was not published"),
    ):
        patched.setattr(core, "FEW_BROKEN", 0)
        run(lake)
    assert lake.rows("core.ci_runs") == lake.rows("ops.quarantine") == [], "half of many runs is too many"
    for _ in range(2):
        run(lake)
        assert lake.rows("core.ci_runs", "build_id", "failed_count") == [("1002", 0)]
        assert statuses(lake) == ["running"]
        assert lake.rows("ops.quarantine", "natural_id", "part", "reason") == [
            ("board/tab", "1001", "core.ci_runs: none_failed")
        ]


def test_a_format_that_changed_stops_the_build_and_a_single_bad_tab_does_not(lake, monkeypatch):
    land(lake, RUNNING)
    odd = {f"odd {number}": [77, 77] for number in range(120)}
    land(lake, make_table({"Overall": [1, 1], **odd}, job="odd-job"), tab="board/bad")
    with monkeypatch.context() as patched:
        patched.setattr(set_aside, "MANY_REFUSED", 1)
        with pytest.raises(set_aside.FormatError, match="1 of 2 payloads cannot be read for the most part"):
            run(lake)
    assert len(lake.rows("ops.quarantine", "part")) == 120
    assert lake.rows("core.ci_runs", "run_key") == []
    assert run(lake)["core.ci_runs"] == 4


STOPS = ("audit:core.ci_runs", "publish:core.ci_run_observations", "publish:core.test_results")


def test_a_test_and_a_job_whose_key_is_taken_go_to_quarantine(lake):
    (test, other_test), (job, other_job) = colliding_names(), colliding_names(f"{PROW}\x1f")
    land(lake, make_table({"Overall": [1, 1], test: [1, 12]}, job=job), tab="board/first")
    run(lake)
    land(lake, make_table({"Overall": [1], other_test: [12]}, job="honest"), tab="board/test", hour=1)
    land(lake, make_table({"Overall": [1]}, job=other_job), tab="board/job", hour=1)
    assert run(lake)["core.ci_runs"] == 1
    assert {name for (name,) in lake.rows("core.ci_jobs", "job_name")} == {job, "honest"}
    assert {name for (name,) in lake.rows("core.tests", "test_name")} == {"Overall", test}
    assert {row[:2] for row in lake.rows("ops.quarantine", "natural_id", "part")} == {
        ("board/test", other_test),
        ("board/job", other_job),
    }
    assert statuses(lake) == ["failed", "passed", "passed", "passed", "passed"]


@pytest.mark.parametrize("is_few", [True, False], ids=["few rows", "many"])
def test_builds_that_are_killed_at_any_step_and_repeated_give_equal_tables(new_lake, monkeypatch, is_few):
    undisturbed = new_lake()
    land(undisturbed, RUNNING)
    land(undisturbed, FINAL | {"query": "bucket/logs/other"}, tab="board/other")
    run(undisturbed)
    land(undisturbed, FINAL, hour=5)
    run(undisturbed)
    right = core_tables(undisturbed)
    lake = new_lake()
    stops = stop_points(monkeypatch)
    monkeypatch.setattr(few, "FEW_ROWS", FEW_ROWS if is_few else 0)
    land(lake, RUNNING)
    for place, stops[:] in enumerate([one] for one in STOPS):
        if place == 1:
            land(lake, FINAL | {"query": "bucket/logs/other"}, tab="board/other")
        if place == 2:
            land(lake, FINAL, hour=5)
        with pytest.raises(KilledError):
            run(lake)
    stops.clear()
    run(lake)
    assert core_tables(lake) == right
    assert set(run(lake).values()) == {0}


def test_what_a_round_left_half_published_is_mended_in_whatever_round_it_is_then(new_lake, monkeypatch):
    """Killed in the second of two rounds, or as one; then another tab has news, which are built before."""
    other = make_table({"Overall": [1], "b": [12]}, job="e2e-gcp-4.8", changelists=["2001"])
    landings = [(RUNNING, 0, "board/a"), (other, 0, "board/b"), (FINAL, 5, "board/a")]
    stops = stop_points(monkeypatch)
    found = []
    for first, stopped in ((landings[:0], []), (landings[:2], [HALF, "once"]), (landings[1:2], [HALF])):
        lake = new_lake()
        monkeypatch.setattr(rounds, "ROUND_BYTES", 1 if len(first) > 1 else ROUND_BYTES)
        for table, hour, tab in first:
            land(lake, table, hour=hour, tab=tab)
        stops[:] = stopped
        if first:
            with pytest.raises(KilledError):
                run(lake)
        stops.clear()
        for table, hour, tab in (one for one in landings if one not in first):
            land(lake, table, hour=hour, tab=tab)
        monkeypatch.setattr(rounds, "ROUND_BYTES", 1)
        run(lake)
        assert not is_half_published(lake.catalog)
        assert lake.spark._jsparkSession.sharedState().cacheManager().isEmpty(), "nothing stays in memory"
        found.append(core_tables(lake))
    assert found[1] == found[0]
    assert found[2] == found[0]


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
    run(lake)
    assert core_tables(lake) == right
    assert not is_half_published(lake.catalog)


def test_the_share_of_refused_payloads_is_that_of_all_rounds(lake, monkeypatch):
    """Tabs of a broken dashboard are neighbours."""
    monkeypatch.setattr(set_aside, "MANY_REFUSED", 2)
    monkeypatch.setattr(rounds, "ROUND_BYTES", 3 * make_row("raw.testgrid__tables")["payload_bytes"])
    for number in range(9):
        land(lake, {} if number < 3 else FINAL, tab=f"board/{number}")
    with pytest.raises(set_aside.FormatError, match="3 of 9 payloads cannot be read"):
        run(lake, rejected_ratio=0.3)
    run(lake, rejected_ratio=0.34)
    assert len(lake.rows("core.ci_runs", "run_key")) == 2


def test_a_mended_decoder_reaches_what_is_published_and_there_is_a_way_back(lake, monkeypatch):
    """Also where the payloads are read again in rounds."""
    monkeypatch.setattr(rounds, "ROUND_BYTES", 1)
    right, wrong = build_as_an_earlier_version(lake)
    assert set(run(lake).values()) == {0}, "no payload is new"
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
    rebuild.rollback(lake.settings, done["restatement_id"])
    assert core_tables(lake) == wrong
    now = snapshot_id(lake.catalog, CI_RUNS)
    old = {"restatement_id": "old", "table_address": CI_RUNS.address}
    old |= {"from_snapshot_id": 1, "to_snapshot_id": now}
    lake.insert("ops.restatements", [make_row("ops.restatements", **old)])
    for gone, words in (
        (done["restatement_id"], "taken back already"),
        ("nosuch", "no restatement"),
        (f"rollback_{done['restatement_id']}", "is a rollback"),
        ("old", "before old is no longer kept"),
    ):
        with pytest.raises(rebuild.RollbackError, match=words):
            rebuild.rollback(lake.settings, gone)
    lake.insert("ops.receipts", [make_row("ops.receipts", partition_date=DAY.isoformat())])
    later = Window(window.end, window.end + timedelta(days=1))
    with pytest.raises(DayError, match=f"{window.end} has not been landed: the newest landed day is {DAY}"):
        rebuild.rebuild(lake.settings, later, names=["core"], reason="too early")


def test_rows_that_the_same_version_of_the_decoder_made_wrong_are_mended_by_a_rebuild(lake):
    """One run has a wrong verdict and hash, the other a wrong result, which its own row does not show."""
    window = Window(DAY, DAY + timedelta(days=1))
    land(lake, FINAL)
    run(lake)
    build_tables(lake.settings, window, step="build_kpi_ci_health")
    right, answers = core_tables(lake), kpi_tables(lake)
    for name in ("ci_run_observations", "ci_runs"):
        overwrite(lake, f"core.{name}", result="passed", content_hash="f" * 32, of=("build_id", "1002"))
    overwrite(lake, "core.ci_run_observations", test_statuses=["failed", "failed"], of=("build_id", "1001"))
    overwrite(lake, "core.test_results", test_status="failed", of=("test_status", "passed"))
    assert core_tables(lake) != right
    overwrite(lake, "kpi.daily_job_health", passed_count=7)
    assert set(run(lake).values()) == {0}, "a build goes by versions"
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
    assert kpi_tables(lake) == answers, "a build of the answers follows, though its runs are of one version"
    day = FIRST_RUN_DAY
    overwrite(lake, "kpi.daily_job_health", passed_count=7, of=("run_date", day))
    rebuild.rebuild(lake.settings, Window(day, day + timedelta(days=2)), names=["kpi"], reason="sums")
    assert kpi_tables(lake) == answers
    restated = lake.rows("ops.restatements", "table_address", "reason", "removed_count", "added_count")
    assert [row for row in restated if row[1] == "sums"] == [("kpi.daily_job_health", "sums", 1, 1)]


def exceed_memory(*_, **__):
    raise MemoryError("too many rows")


def test_the_answers_follow_a_rebuild_of_results_alone_and_its_way_back(lake, monkeypatch, caplog):
    """What exceeds the memory of this process is made in Spark."""
    window = Window(DAY, DAY + timedelta(days=1))
    land(lake, FINAL)
    run(lake)
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
    assert "kpi.failing_pairs: too many rows; it is made in Spark" in caplog.text
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

    def killed_after_the_first_table(text):
        raise KilledError

    with monkeypatch.context() as killed:
        killed.setattr(rebuild.logger, "info", killed_after_the_first_table)
        with pytest.raises(KilledError):
            rebuild.rollback(lake.settings, second["restatement_id"])
    rebuild.rollback(lake.settings, second["restatement_id"])
    found = core_tables(lake)
    assert found["ci_runs"] == wrong["ci_runs"]
    undone = {row for row in lake.rows("ops.restatements", "table_address", "reason") if "rollback" in row[1]}
    assert {address for address, _ in undone} == {"core.ci_run_observations", "core.ci_runs"}
    with pytest.raises(rebuild.RollbackError, match="taken back already"):
        rebuild.rollback(lake.settings, second["restatement_id"])
    with pytest.raises(PermanentError, match="--reason takes one line"):
        rebuild.rebuild(lake.settings, window, names=["core"], reason=" ")


def build_as_an_earlier_version(lake):
    """Leave tables as an earlier decoder would have: other verdicts and a release; return right and wrong."""
    land(lake, FINAL)
    other = make_table({"Overall": [1]}, job="e2e-gcp-4.8", changelists=["2001"])
    land(lake, other, tab="board/other")
    run(lake)
    right = core_tables(lake)
    for name in ("ci_run_observations", "ci_runs"):
        overwrite(lake, f"core.{name}", decoder_version=1, result="passed")
    overwrite(lake, "core.ci_jobs", release="0.1")
    return right, core_tables(lake)


def kpi_tables(lake):
    return {table.address: lake.rows(table.address) for table in made_by("build_kpi_ci_health")}


def overwrite(lake, address, *, of=None, **values):
    """Give all rows of a table other values, or those that have one value in a column."""
    table = lake.catalog.load_table(address)
    rows = table.scan().to_arrow().to_pylist()
    rows = [row | values if of is None or row[of[0]] == of[1] else row for row in rows]
    table.overwrite(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
