"""Builds on a lake in a folder: whatever the order of payloads and builds, the tables say the same once."""

import random
from datetime import timedelta

import pytest
from tests.support.built_lake import (
    DAY,
    FINAL,
    HALF,
    RUNNING,
    WAYS,
    KilledError,
    build,
    build_by,
    core_tables,
    exceed_memory,
    land,
    statuses,
    stop_points,
)
from tests.support.collisions import colliding_names
from tests.support.grids import make_table

from cilake.build import core, decoding, rounds, set_aside, slices
from cilake.contracts.ci_instances import PROW
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.publish.audit import AuditError
from cilake.publish.branch import PublishError
from cilake.publish.stop_points import STEPS
from cilake.quality import suite

pytestmark = pytest.mark.spark
STOPS = ("audit:core.ci_runs", "publish:core.ci_run_observations", HALF)
ALL_STOPS = [f"{step}:{table.address}" for step in STEPS for table in core.CORE]


def test_a_payload_is_built_once_and_a_build_without_news_changes_nothing(lake):
    land(lake, RUNNING)
    lake.catalog.drop_table("raw.example_ci__builds")  # of a source that was added, and has not landed yet
    assert build(lake) == {
        "core.tests": 2,
        "core.ci_jobs": 1,
        "core.ci_run_observations": 2,
        "core.test_results": 3,
        "core.ci_runs": 2,
    }
    before = core_tables(lake)
    assert set(build(lake).values()) == {0}
    land(lake, RUNNING, hour=5)
    assert set(build(lake).values()) == {0}, "the same content again begins nothing"
    assert core_tables(lake) == before


class AskedError(Exception):
    """A way to build payloads was taken."""


def asked(way):
    def ask(*_, **__):
        raise AskedError(way)

    return ask


@pytest.mark.parametrize(
    ("limit", "way"),
    [
        ((decoding, "FEW_RESULTS", 3), "slices"),
        ((decoding, "FEW_DECODED_BYTES", 99), "slices"),
        ((core, "CoreChanges", exceed_memory), "slices"),
        ((core, "PUBLISHED_ROWS", 0), "spark"),
        ((core, "SLICED_BYTES", 0), "spark"),
    ],
    ids=["results", "decoded bytes", "memory", "published rows", "all bytes"],
)
def test_few_payloads_are_built_here_and_what_is_too_much_in_another_way(lake, monkeypatch, limit, way):
    """Too much: what payloads show, rows that are published, and what a query holds in memory."""
    with monkeypatch.context() as patched:
        patched.setattr(core, "cut", asked("slices"))
        patched.setattr(core, "decode_all", asked("spark"))
        land(lake, make_table({"Overall": [1, 12]}))
        assert build(lake)["core.ci_runs"] == 2
        land(lake, FINAL, hour=1)
        patched.setattr(*limit)
        if limit[1] == "SLICED_BYTES":
            patched.setattr(core, "FEW_BYTES", 0)
        with pytest.raises(AskedError, match=way):
            build(lake)
    assert build(lake)["core.test_results"] == 4


def test_a_corrected_run_replaces_the_older_one_and_only_it(lake):
    land(lake, RUNNING)
    build(lake)
    land(lake, FINAL, hour=5)
    counts = build(lake, DAY + timedelta(days=2))  # a payload whose own day failed is built by the next
    assert (counts["core.ci_runs"], counts["core.test_results"]) == (1, 2)
    assert statuses(lake) == ["failed", "failed", "failed", "passed"]
    assert len(lake.rows("core.ci_run_observations", "run_key")) == 3


@pytest.mark.parametrize("way", WAYS)
def test_contents_that_are_shown_at_one_instant_stop_no_build(lake, monkeypatch, way):
    """They share a run, which is there once."""
    build_by(monkeypatch, way)
    land(lake, make_table({"Overall": [1, 12], "a": [1, 12]}))
    land(lake, make_table({"Overall": [4, 12], "a": [0, 12]}))
    build(lake)
    assert len(lake.rows("core.ci_run_observations", "run_key")) == 3
    assert statuses(lake) == ["failed", "failed", "passed", "passed"]


@pytest.mark.parametrize("way", WAYS[:2])
def test_runs_without_a_result_are_runs_also_where_a_month_has_no_others(new_lake, monkeypatch, way):
    build_by(monkeypatch, way)
    for rows in ({"Overall": [1, 0], "a": [12, 0]}, {"Overall": [0, 0], "a": [0, 0]}):
        table = make_table(rows)
        table["timestamps"][1] -= 60 * 86_400_000
        lake = new_lake()
        land(lake, table)
        build(lake)
        assert len(lake.rows("core.ci_runs", "run_key")) == 2
        assert len(statuses(lake)) == sum(map(bool, [*rows["Overall"], *rows["a"]]))


@pytest.mark.parametrize("way", WAYS[:2])
def test_of_two_builds_at_once_one_says_to_run_again_and_nothing_is_doubled(lake, monkeypatch, way):
    """A second tab shows the same runs, so there are new observations alone."""
    table = make_table({"Overall": [1, 12], "a": [12, 12]})
    land(lake, table)
    build(lake)
    land(lake, table, hour=1, tab="other/tab")
    build_by(monkeypatch, way)
    published = core.publish

    def publish(changes, **options):
        monkeypatch.setattr(core, "publish", published)
        build(lake)
        return published(changes, **options)

    monkeypatch.setattr(core, "publish", publish)
    with pytest.raises(PublishError, match="was changed by another run meanwhile"):
        build(lake)
    build(lake)
    assert len(lake.rows("core.ci_run_observations", "run_key")) == 4


@pytest.mark.parametrize("step", ["_decode", "_write"])
def test_a_worker_that_lacks_memory_leaves_the_payloads_to_spark(lake, monkeypatch, caplog, step):
    land(lake, FINAL)
    build_by(monkeypatch, "slices")
    worker = slices._report

    def fail(every, *given):
        yield from worker(every, exceed_memory, given[-1])

    monkeypatch.setattr(slices, step, fail)
    build(lake)
    assert "too many rows; the payloads are built another way" in caplog.text
    assert len(statuses(lake)) == 4


@pytest.mark.parametrize("days", [1, -200])
def test_a_run_whose_start_is_corrected_is_there_once_on_its_new_day(lake, days):
    land(lake, FINAL)
    build(lake)
    moved = FINAL | {"timestamps": [FINAL["timestamps"][0] + days * 86_400_000, FINAL["timestamps"][1]]}
    land(lake, moved, hour=5)
    build(lake)
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
    for seed, way in enumerate(WAYS):
        order = random.Random(seed)
        lake = new_lake()
        build_by(monkeypatch, way)
        shuffled = order.sample(landings, len(landings)) if seed else landings
        for table, hour, tab in shuffled:
            land(lake, table, hour=hour, tab=tab)
            if order.random() < 0.6:
                build(lake)
        build(lake)
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
        build(lake)
    stops.clear()
    assert sum(build(lake).values()), (
        "the first of three rounds was published, and no payload counts as built"
    )
    assert core_tables(lake) == found[0], "in rounds, one for each tab"
    assert set(build(lake).values()) == {0}


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
            build(lake)
        found.append((core_tables(lake), len(lake.rows("core.ci_run_observations", "run_key"))))
    assert found[0] == found[1]


@pytest.mark.parametrize("way", WAYS[:2])
def test_a_run_whose_key_is_taken_is_set_aside_and_the_names_of_its_tests_are_kept(lake, monkeypatch, way):
    """Job and build of both runs are the same once joined; the names of a payload are with its first run."""
    build_by(monkeypatch, way)
    land(lake, make_table({"a": [1]}, job="x\x1fb", changelists=["c"]), hour=1, tab="board/first")
    taken = make_table({"a": [1, 1], "only here": [1, 1]}, job="x", changelists=["b\x1fc", "1"])
    land(lake, taken, hour=2, tab="board/second")
    build(lake)
    assert [row[0] for row in lake.rows("core.ci_runs", "build_id")] == ["1", "c"]
    ((part, reason),) = lake.rows("ops.quarantine", "part", "reason")
    assert part == "b\x1fc" and reason.startswith("taken_run_key")
    names = {key for (key,) in lake.rows("core.tests", "test_key")}
    assert {key for (key,) in lake.rows("core.test_results", "test_key")} == names


@pytest.mark.parametrize("way", WAYS[:2])
def test_runs_with_a_row_that_breaks_a_rule_go_to_quarantine_and_the_rest_is_published(
    lake, monkeypatch, way
):
    build_by(monkeypatch, way)
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
        build(lake)
    assert lake.rows("core.ci_runs") == lake.rows("ops.quarantine") == [], "half of many runs is too many"
    for _ in range(2):
        build(lake)
        assert lake.rows("core.ci_runs", "build_id", "failed_count") == [("1002", 0)]
        assert statuses(lake) == ["running"]
        assert lake.rows("ops.quarantine", "natural_id", "part", "reason") == [
            ("board/tab", "1001", "core.ci_runs: none_failed")
        ]


@pytest.mark.parametrize("way", WAYS[:2])
def test_a_format_that_changed_stops_the_build_and_a_single_bad_tab_does_not(lake, monkeypatch, way):
    build_by(monkeypatch, way)
    land(lake, RUNNING)
    odd = {f"odd {number}": [77, 77] for number in range(120)}
    land(lake, make_table({"Overall": [1, 1], **odd}, job="odd-job"), tab="board/bad")
    with monkeypatch.context() as patched:
        patched.setattr(set_aside, "MANY_REFUSED", 1)
        with pytest.raises(set_aside.FormatError, match="1 of 2 payloads cannot be read for the most part"):
            build(lake)
    assert len(lake.rows("ops.quarantine", "part")) == 120
    assert lake.rows("core.ci_runs", "run_key") == []
    assert build(lake)["core.ci_runs"] == 4


@pytest.mark.parametrize("way", WAYS)
def test_a_doubled_row_of_a_tab_with_one_run_stops_no_build(lake, monkeypatch, way):
    """Refused rows are compared with rows: two of many are few, though they are more than the runs."""
    build_by(monkeypatch, way)
    monkeypatch.setattr(set_aside, "MANY_REFUSED", 1)
    table = make_table({"Overall": [1], **{f"test {number}": [1] for number in range(9)}})
    table["tests"].append(table["tests"][-1])
    land(lake, table)
    assert build(lake)["core.ci_runs"] == 1
    assert len(statuses(lake)) == 9
    (reason,) = lake.rows("ops.quarantine", "reason")
    assert reason == ("repeated_test_name: 2 rows; test 'test 8'",)


@pytest.mark.parametrize("way", WAYS[:2])
def test_a_test_and_a_job_whose_key_is_taken_go_to_quarantine(lake, monkeypatch, way):
    build_by(monkeypatch, way)
    (test, other_test), (job, other_job) = colliding_names(), colliding_names(f"{PROW}\x1f")
    land(lake, make_table({"Overall": [1, 1], test: [1, 12]}, job=job), tab="board/first")
    build(lake)
    land(lake, make_table({"Overall": [1], other_test: [12]}, job="honest"), tab="board/test", hour=1)
    land(lake, make_table({"Overall": [1]}, job=other_job), tab="board/job", hour=1)
    assert build(lake)["core.ci_runs"] == 1
    assert {name for (name,) in lake.rows("core.ci_jobs", "job_name")} == {job, "honest"}
    assert {name for (name,) in lake.rows("core.tests", "test_name")} == {"Overall", test}
    assert {row[:2] for row in lake.rows("ops.quarantine", "natural_id", "part")} == {
        ("board/test", other_test),
        ("board/job", other_job),
    }
    assert statuses(lake) == ["failed", "passed", "passed", "passed", "passed"]


def test_a_build_that_is_killed_at_each_step_in_turn_gives_the_same_tables(new_lake, monkeypatch):
    """Each time there is a correction, a new run of another job and a new name: all tables change."""
    stops, landed = stop_points(monkeypatch), []
    lake = new_lake()
    for number, stops[:] in enumerate([stop] for stop in ALL_STOPS):
        rows = {"Overall": [12 if number % 2 else 1, 1], f"new {number}": [1, 12]}
        for tab, shown in (("a", rows), (f"b{number}", {"Overall": [1]})):
            landed.append((make_table(shown, job=f"job-{tab}"), number, f"board/{tab}"))
            land(lake, landed[-1][0], hour=number, tab=landed[-1][2])
        with pytest.raises(KilledError):
            build(lake)
    stops.clear()
    build(lake)
    found = core_tables(lake)
    assert set(build(lake).values()) == {0}
    undisturbed = new_lake()
    for table, hour, tab in landed:
        land(undisturbed, table, hour=hour, tab=tab)
    build(undisturbed)
    assert found == core_tables(undisturbed)


def test_a_lost_result_of_any_run_stops_a_build_before_it_publishes(lake):
    """Each table is right by itself; only together they show that results are not there."""
    land(lake, RUNNING)
    build(lake)
    lake.catalog.load_table("core.test_results").delete("test_status = 'passed'")
    before = core_tables(lake)
    land(lake, make_table({"Overall": [1]}, job="other"), hour=1, tab="board/other")
    with pytest.raises(AuditError, match="no more is published"):
        build(lake)
    assert core_tables(lake) == before


@pytest.mark.parametrize("way", WAYS)
def test_builds_that_are_killed_at_any_step_and_repeated_give_equal_tables(new_lake, monkeypatch, way):
    undisturbed = new_lake()
    land(undisturbed, RUNNING)
    land(undisturbed, FINAL | {"query": "bucket/logs/other"}, tab="board/other")
    build(undisturbed)
    land(undisturbed, FINAL, hour=5)
    build(undisturbed)
    right = core_tables(undisturbed)
    lake = new_lake()
    stops = stop_points(monkeypatch)
    build_by(monkeypatch, way)
    land(lake, RUNNING)
    for index, stops[:] in enumerate([one] for one in STOPS):
        if index == 1:
            land(lake, FINAL | {"query": "bucket/logs/other"}, tab="board/other")
        if index == 2:
            land(lake, FINAL, hour=5)
        with pytest.raises(KilledError):
            build(lake)
    stops.clear()
    build(lake)
    assert core_tables(lake) == right
    assert set(build(lake).values()) == {0}
