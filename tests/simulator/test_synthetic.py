import zlib
from datetime import datetime, timedelta

import numpy as np
import orjson
import pytest

from ciworld.clock import milliseconds, parse_instant
from ciworld.services.testgrid.synthetic import SyntheticDashboards
from ciworld.world.statuses import FAIL, RUNNING
from ciworld.world.synthetic import SyntheticWorld
from ciworld.world.universe import EPOCH, HISTORY_START


def table_of(dashboards, job, at):
    return orjson.loads(dashboards.table(job.dashboard, job.name, at).plain(1))


def expand(row):
    """The cells of a row as (code, message, short text), by the rules of the format."""
    codes = [run["value"] for run in row["statuses"] for _ in range(run["count"])]
    texts = iter(zip(row["messages"], row["short_texts"], strict=True))
    cells = [(code, *next(texts)) if code else (0, "", "") for code in codes]
    assert next(texts, None) is None
    return cells


def by_build(table):
    """Every cell of a table by (build id, test name)."""
    return {
        (build, row["name"]): cell
        for row in table["tests"]
        for build, cell in zip(table["changelists"], expand(row), strict=True)
    }


CLOCKS = [HISTORY_START + timedelta(hours=7), EPOCH - timedelta(days=20), EPOCH, EPOCH + timedelta(days=300)]


@pytest.mark.parametrize("at", CLOCKS, ids=str)
def test_every_table_obeys_the_decoding_rules_and_the_clock(world, dashboards, at):
    assert len(world.universe.jobs) == 24
    for job in world.universe.jobs:
        table = table_of(dashboards, job, at)
        stamps = table["timestamps"]
        assert stamps == sorted(stamps, reverse=True)
        assert all(stamp <= milliseconds(at) for stamp in stamps)
        width = len(stamps)
        assert width == len(table["changelists"]) == len(table["column_ids"]) == len(table["groups"])
        assert all(len(line) == width for line in table["custom-columns"])
        names = [row["name"] for row in table["tests"]]
        assert len(set(names)) == len(names) == len(table["row_ids"])
        assert len(set(table["changelists"])) == width
        assert all(len(build) == 19 for build in table["changelists"])
        for row in table["tests"]:
            cells = expand(row)
            assert len(cells) == width
            assert any(code for code, _, _ in cells)
            assert all(run["count"] > 0 for run in row["statuses"])


def test_before_the_history_there_is_nothing(world, dashboards):
    at = HISTORY_START - timedelta(days=1)
    job = world.universe.jobs[0]
    table = table_of(dashboards, job, at)
    assert (table["timestamps"], table["tests"], table["custom-columns"]) == ([], [], [])
    entry = orjson.loads(dashboards.summary(job.dashboard, at).plain(1))[job.name]
    assert entry["status"] == "no completed results"
    assert entry["last_run_timestamp"] == 0


def test_answers_depend_on_the_seed_alone_and_not_on_the_order_of_questions():
    world = SyntheticWorld(5)
    late, early = SyntheticDashboards(world), SyntheticDashboards(SyntheticWorld(5))
    job = world.universe.jobs[3]
    times = [EPOCH + timedelta(days=200), EPOCH]
    first = [late.table(job.dashboard, job.name, at) for at in times]
    second = [early.table(job.dashboard, job.name, at) for at in reversed(times)][::-1]
    assert [payload.etag for payload in first] == [payload.etag for payload in second]
    assert SyntheticDashboards(SyntheticWorld(6)).table(job.dashboard, job.name, EPOCH).etag != first[1].etag


def test_a_world_of_more_releases_has_as_many_more_jobs():
    large = SyntheticWorld(11, releases=5)
    assert len(large.universe.jobs) == 60
    dashboards = SyntheticDashboards(large)
    assert len(dashboards.dashboards()) == 10
    assert large.identity() == {"kind": "synthetic", "seed": 11, "releases": 5}
    job = large.universe.jobs[-1]
    assert by_build(table_of(dashboards, job, EPOCH))
    with pytest.raises(ValueError, match="a world has 1 to 500"):
        SyntheticWorld(11, releases=0)


def test_time_only_adds_columns_and_finishes_or_reruns_them(world, dashboards, truth):
    reruns = {item["build_id"] for item in truth["rerun_columns"]}
    changed = set()
    for job in world.universe.jobs[:8]:
        before, after = table_of(dashboards, job, EPOCH), table_of(dashboards, job, EPOCH + timedelta(days=3))
        kept = set(after["changelists"])
        new = by_build(after)
        running = set()
        for (build, name), cell in by_build(before).items():
            if name == "Overall" and cell[0] == RUNNING:
                running.add(build)
        oldest = milliseconds(EPOCH - timedelta(days=27))
        for build, stamp in zip(before["changelists"], before["timestamps"], strict=True):
            assert build in kept or stamp < oldest
        for (build, name), cell in by_build(before).items():
            if build in kept and build not in running and new.get((build, name), (0, "", "")) != cell:
                changed.add(build)
        assert all(new[build, "Overall"][0] != RUNNING for build in running)
    assert changed <= reruns


def test_late_columns_appear_behind_newer_ones(world, dashboards, truth):
    jobs = {job.name: job for job in world.universe.jobs}
    item = truth["late_columns"][0]
    job, shown = jobs[item["job"]], parse_instant(item["visible_at"])
    before = table_of(dashboards, job, shown - timedelta(seconds=1))
    after = table_of(dashboards, job, shown)
    assert item["build_id"] not in before["changelists"]
    assert item["build_id"] in after["changelists"][1:]
    assert shown - parse_instant(item["started_at"]) > timedelta(hours=6)


def test_build_ids_are_not_always_in_time_order(world, dashboards):
    tables = [table_of(dashboards, job, EPOCH) for job in world.universe.jobs]
    builds = [[int(build) for build in table["changelists"]] for table in tables]
    assert any(line != sorted(line, reverse=True) for line in builds)


def test_planted_regressions_fail_in_their_window_and_not_outside(world, truth):
    universe = world.universe
    for regression in universe.regressions[:8]:
        inside, outside = [], []
        for number in regression.jobs:
            job = universe.jobs[number]
            positions = np.flatnonzero(np.isin(job.tests, list(regression.tests)))
            start = max(HISTORY_START, regression.start - timedelta(days=2))
            for run in world.runs(job, start, regression.fix + timedelta(days=2)):
                cells = world.codes(run)[positions]
                if (world.codes(run) != 0).mean() < 0.5 or (world.codes(run) == FAIL).mean() > 0.5:
                    continue
                seen = cells[cells != 0]
                within = regression.start <= run.started < regression.fix
                (inside if within else outside).extend((seen == FAIL).tolist())
        assert np.mean(inside) > 0.8
        assert not outside or np.mean(outside) < 0.25
    assert truth["regressions"][0]["tests"] == sorted(
        universe.names[t] for t in universe.regressions[0].tests
    )


def test_planted_outages_take_down_whole_columns(world):
    for outage in world.universe.outages[:6]:
        for number in outage.jobs:
            for run in world.runs(world.universe.jobs[number], outage.start, outage.end):
                codes = world.codes(run)
                assert (codes == FAIL).any()
                down = (codes == FAIL).mean() if outage.mode == "all_failing" else (codes == 0).mean()
                assert down > 0.85


def test_planted_flaky_tests_fail_as_often_as_planted(world):
    behaviour, universe = world.universe.behaviour, world.universe
    expected = observed = 0.0
    for job in universe.jobs[:6]:
        flaky = (behaviour.flaky[job.tests] > 0) & (behaviour.platform[job.tests] < 0)
        flaky &= behaviour.begins[job.tests] <= HISTORY_START.timestamp()
        flaky &= behaviour.ends[job.tests] >= EPOCH.timestamp() + 9e6
        for run in world.runs(job, EPOCH, EPOCH + timedelta(days=30)):
            codes = world.codes(run)[flaky]
            if (world.codes(run) != 0).mean() > 0.5 and (world.codes(run) == FAIL).mean() < 0.5:
                observed += (codes == 13).sum()
                expected += behaviour.flaky[job.tests][flaky][codes != 0].sum()
    assert expected > 200
    assert abs(observed / expected - 1) < 0.15


def test_a_renamed_test_ends_under_one_name_and_begins_under_the_other(world, dashboards, truth):
    jobs = {job.name: job for job in world.universe.jobs}
    rename = next(r for r in truth["renames"] if parse_instant(r["at"]) > EPOCH)
    at = parse_instant(rename["at"])
    table = table_of(dashboards, jobs[rename["jobs"][0]], at + timedelta(days=4))
    rows = {row["name"]: expand(row) for row in table["tests"]}
    for stamp, old, new in zip(table["timestamps"], rows[rename["old"]], rows[rename["new"]], strict=True):
        assert (old if stamp >= milliseconds(at) else new)[0] == 0


def test_reruns_change_results_of_a_final_column(world, truth):
    jobs = {job.name: job for job in world.universe.jobs}
    changed = 0
    for item in truth["rerun_columns"][:40]:
        job, started = jobs[item["job"]], parse_instant(item["started_at"])
        (run,) = world.runs(job, started, started + timedelta(seconds=1))
        changed += bool((world.codes(run) != world.codes(run, second=True)).any())
    assert changed > 20


def test_the_truth_is_plain_json_and_covers_about_three_thousand_tests(world, truth):
    assert orjson.loads(orjson.dumps(truth)) == truth
    assert truth["seed"] == 11
    assert 2800 < len(set(world.universe.names)) < 3200
    assert all(parse_instant(r["start"]) < parse_instant(r["fix"]) for r in truth["regressions"])
    assert all(r["tests"] and r["jobs"] for r in truth["regressions"])


def test_the_world_does_not_change_between_versions_of_the_libraries(world, dashboards, truth):
    # A changed number here means that every recorded expectation about a seed is void.
    assert zlib.crc32(orjson.dumps(truth)) == GOLDEN_TRUTH
    names = [job.name for job in world.universe.jobs]
    tables = [table_of(dashboards, job, EPOCH)["tests"] for job in world.universe.jobs[:2]]
    assert zlib.crc32(orjson.dumps([names, tables])) == GOLDEN_TABLES


GOLDEN_TRUTH = 3296919239
GOLDEN_TABLES = 2122774436


def test_instants_are_read_as_utc_and_nonsense_is_refused():
    assert parse_instant("2026-03-01") == EPOCH
    assert parse_instant("2026-03-01T01:00:00+01:00") == EPOCH
    assert isinstance(parse_instant("2026-03-01T00:00:00Z"), datetime)
    for text in ("tomorrow", "", None, "0001-01-01", "9999-12-31"):
        with pytest.raises(ValueError, match="ISO 8601|year"):
            parse_instant(text)
