import gzip
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from ciworld.clock import milliseconds, parse_instant
from ciworld.recorded.base import RecordedError
from ciworld.recorded.testgrid.folder import RecordedDashboards
from ciworld.services.testgrid.grid import summarise
from ciworld.worlds import serve_recorded

from .conftest import serving

T0 = datetime(2021, 7, 1, tzinfo=UTC)
BOARD, TAB = "red-board", "job-a"


def stamp(days):
    return milliseconds(T0) + days * 86_400_000


def row(name, runs, messages, target=None):
    return {
        "name": name,
        "original-name": name,
        "alert": {"fail-time": stamp(3)},
        "messages": messages,
        "short_texts": ["F" if text else "" for text in messages],
        "statuses": [{"count": count, "value": value} for count, value in runs],
        "target": target or name,
    }


def small_table():
    return {
        "query": f"bucket/logs/{TAB}",
        "status": "Served from cache in 0.16 seconds",
        "phase-timer": {"total": 0.5},
        "cached": True,
        "changelists": ["14", "13", "12", "11"],
        "column_ids": ["\ue00014", "\ue00013", "\ue00012", "\ue00011"],
        "custom-columns": [["d", "c", "b", "a"]],
        "groups": ["", "", "", ""],
        "timestamps": [stamp(3), stamp(2), stamp(1), stamp(0)],
        "tests": [
            row("Overall", [(1, 12), (3, 1)], ["bad", "", "", ""]),
            row("gap", [(1, 12), (2, 0), (1, 12)], ["new", "old"], "gap <TESTGRID:2>"),
            row("young", [(2, 1), (2, 0)], ["", ""]),
        ],
        "row_ids": ["Overall", "gap <TESTGRID:2>", "young"],
        "clusters": [{"test_results": {"0": [0]}}],
        "overall-status": 3,
    }


def write(path, doc):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(orjson.dumps(doc)))


@pytest.fixture
def small(tmp_path):
    entry = {"last_run_timestamp": stamp(3) // 1000, "last_update_timestamp": stamp(4) // 1000}
    entry |= {
        "status": "recorded",
        "overall_status": "FAILING",
        "latest_green": "13",
        "tests": [],
        "alert": "",
    }
    write(tmp_path / "deep" / "er" / BOARD / "summary.json.gz", {TAB: entry, "no-file": entry})
    write(tmp_path / "deep" / "er" / BOARD / f"{TAB}.json.gz", small_table())
    return tmp_path


def at(days):
    return T0 + timedelta(days=days)


def test_without_a_clock_files_are_served_as_they_are(small):
    with serving(serve_recorded(small), None) as client:
        with client.stream("GET", f"/{BOARD}/table?tab={TAB}") as answer:
            raw = b"".join(answer.iter_raw())
        assert raw == (small / "deep" / "er" / BOARD / f"{TAB}.json.gz").read_bytes()
        assert client.get(f"/{BOARD}/summary").json()[TAB]["status"] == "recorded"
        assert client.get("/_ciworld/truth").status_code == 404
        etag = answer.headers["ETag"]
        assert client.get(f"/{BOARD}/table?tab={TAB}", headers={"If-None-Match": etag}).status_code == 304


def test_once_a_recording_is_over_its_files_are_served_as_they_are(small):
    dashboards = RecordedDashboards(small)
    assert dashboards.table(BOARD, TAB, at(4)) == dashboards.table(BOARD, TAB, None)


def test_a_recording_that_ended_before_its_columns_tells_none_later_than_the_clock(small):
    entry = {"last_run_timestamp": stamp(1) // 1000, "last_update_timestamp": stamp(1) // 1000}
    write(small / "deep" / "er" / BOARD / "summary.json.gz", {TAB: entry})
    dashboards = RecordedDashboards(small)
    assert orjson.loads(dashboards.table(BOARD, TAB, at(2)).plain(1))["changelists"] == ["13", "12", "11"]


def test_columns_later_than_the_clock_do_not_exist(small):
    table = orjson.loads(RecordedDashboards(small).table(BOARD, TAB, at(1)).plain(1))
    assert table["changelists"] == ["12", "11"]
    assert table["custom-columns"] == [["b", "a"]]
    assert [t["name"] for t in table["tests"]] == ["Overall", "gap"]
    assert table["row_ids"] == ["Overall", "gap <TESTGRID:2>"]
    assert table["tests"][1]["statuses"] == [{"count": 1, "value": 0}, {"count": 1, "value": 12}]
    assert (table["tests"][1]["messages"], table["tests"][1]["short_texts"]) == (["old"], ["F"])
    assert table["clusters"] is None
    assert all(t["alert"] is None for t in table["tests"])


def test_the_summary_tells_nothing_later_than_the_clock(small):
    dashboards = RecordedDashboards(small)
    entry = orjson.loads(dashboards.summary(BOARD, at(2)).plain(1))
    assert entry[TAB]["last_run_timestamp"] == stamp(2) // 1000
    assert entry[TAB]["last_update_timestamp"] <= stamp(2) // 1000
    assert (entry[TAB]["overall_status"], entry[TAB]["latest_green"]) == ("FLAKY", "13")
    assert entry["no-file"]["last_run_timestamp"] == 0
    after = orjson.loads(dashboards.summary(BOARD, at(5)).plain(1))
    assert after[TAB]["status"] == "recorded"


def test_before_everything_a_tab_is_empty(small):
    dashboards = RecordedDashboards(small)
    table = orjson.loads(dashboards.table(BOARD, TAB, at(-1)).plain(1))
    assert (table["timestamps"], table["tests"], table["custom-columns"]) == ([], [], [])
    entry = orjson.loads(dashboards.summary(BOARD, at(-1)).plain(1))[TAB]
    assert (entry["status"], entry["last_run_timestamp"]) == ("no completed results", 0)


def test_the_memory_of_the_cache_is_bounded(small):
    dashboards = RecordedDashboards(small, cache_bytes=500)
    for hours in range(60, 96):
        dashboards.summary(BOARD, T0 + timedelta(hours=hours))
        dashboards.table(BOARD, TAB, T0 + timedelta(hours=hours))
    assert dashboards.held_bytes < 1500


def test_unreadable_recordings_are_clear_errors(small):
    folder = small / "deep" / "er" / BOARD
    (folder / "torn.json.gz").write_bytes(b"\x1f\x8b\x08torn")
    write(folder / "odd.json.gz", {**small_table(), "groups": []})
    with serving(serve_recorded(small), at(2)) as client:
        for tab in ("torn", "odd"):
            answer = client.get(f"/{BOARD}/table?tab={tab}")
            assert answer.status_code == 500
            assert f"{tab}.json.gz" in answer.text
    write(small / "again" / "RED_board" / "summary.json.gz", {})
    with pytest.raises(RecordedError, match="alike"):
        RecordedDashboards(small)


def slow_cut(table, at_ms):
    """An independent cut: expand every cell, keep the old columns, and list what is left."""
    keep = [i for i, t in enumerate(table["timestamps"]) if t <= at_ms]
    rows = {}
    for item in table["tests"]:
        codes = [run["value"] for run in item["statuses"] for _ in range(run["count"])]
        pointer, cells = 0, []
        for code in codes:
            if code:
                cells.append((code, item["messages"][pointer], item["short_texts"][pointer]))
                pointer += 1
            else:
                cells.append(None)
        left = [cells[i] for i in keep]
        if any(left):
            rows[item["name"]] = (item["target"], left)
    return [table["changelists"][i] for i in keep], rows


CUTS = [
    ("4.8GA/redhat-openshift-ocp-release-4.8-blocking", "2021-07-10T12:00:00Z"),
    ("4.6GA/redhat-openshift-ocp-release-4.6-blocking", "2020-10-25T00:00:00Z"),
]


@pytest.mark.data
@pytest.mark.parametrize(("folder", "when"), CUTS)
def test_real_tables_are_cut_as_an_independent_expansion_cuts_them(recorded_root, folder, when):
    dashboards, moment = RecordedDashboards(recorded_root), parse_instant(when)
    for path in sorted((recorded_root / folder).glob("*.json.gz"))[:3]:
        if path.name == "summary.json.gz":
            continue
        original = orjson.loads(gzip.decompress(path.read_bytes()))
        builds, rows = slow_cut(original, milliseconds(moment))
        payload = dashboards.table(path.parent.name, path.name.removesuffix(".json.gz"), moment)
        cut = orjson.loads(payload.plain(1))
        assert cut["changelists"] == builds
        assert slow_cut(cut, milliseconds(moment)) == (builds, rows)
        assert len(cut["tests"]) == len(rows)
        assert len(builds) < len(original["changelists"])


@pytest.mark.data
def test_a_computed_summary_agrees_with_the_recorded_one(recorded_root):
    folder = "redhat-openshift-ocp-release-4.8-blocking"
    dashboards = RecordedDashboards(recorded_root)
    moment = parse_instant("2022-01-01")
    recorded = orjson.loads(dashboards.summary(folder, moment).plain(1))
    for tab, entry in recorded.items():
        path = recorded_root / "4.8GA" / folder / f"{tab}.json.gz"
        if not path.is_file():
            continue
        grid = dashboards._grid(path)
        now = datetime.fromtimestamp(entry["last_update_timestamp"], tz=UTC)
        made = summarise(folder, grid, now, 1000)
        assert made["overall_status"] == entry["overall_status"]
        assert made["last_run_timestamp"] == entry["last_run_timestamp"]
