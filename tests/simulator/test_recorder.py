"""Recording one simulator and replaying it: both then serve the same."""

import gzip
from datetime import timedelta

import orjson
import pytest

from ciworld.clock import parse_instant
from ciworld.payload import Payload
from ciworld.recorded.testgrid.folder import RecordedDashboards
from ciworld.recorded.testgrid.recorder import RecordingError, record
from ciworld.services.base import ServedWorld
from ciworld.services.testgrid.service import TestGrid
from ciworld.world.synthetic import SyntheticWorld
from ciworld.world.universe import EPOCH
from ciworld.worlds import serve_recorded, serve_synthetic

from .conftest import serving
from .process import run, serving_process
from .test_recorded import small, stamp, write  # noqa: F401 - small is a fixture

BOARD = "ciworld-release-1.1-blocking"
VOLATILE = ("status", "phase-timer", "cached")


def stable(answer):
    return {key: value for key, value in answer.json().items() if key not in VOLATILE}


@pytest.fixture
def naps():
    return []


def test_what_is_recorded_is_served_again(served, tmp_path, naps):
    with serving(served, EPOCH + timedelta(days=2)) as origin:
        counts = record(str(origin.base_url), f"{BOARD}*", tmp_path / "out", 0.25, naps.append)
        assert counts == {"dashboards": 1, "tables": 6, "missing": 0}
        # One at a time: the listing, the summary and six tables, with a pause between two of them.
        assert naps == [0.25] * 7
        with serving(serve_recorded(tmp_path / "out"), None) as copy:
            assert [b["name"] for b in copy.get("/api/v1/dashboards").json()["dashboards"]] == [BOARD]
            summary = f"/{BOARD}/summary"
            assert copy.get(summary).json() == origin.get(summary).json()
            for tab in origin.get(summary).json():
                table = f"/{BOARD}/table?tab={tab}"
                one, two = origin.get(table), copy.get(table)
                assert stable(two) == stable(one)
                assert two.headers["ETag"] == one.headers["ETag"]


def test_a_recording_is_cut_by_the_clock(world, served, tmp_path, naps):
    at = EPOCH - timedelta(days=3)
    job = world.universe.jobs[0]
    with serving(served, EPOCH) as origin:
        record(str(origin.base_url), BOARD, tmp_path, 0, naps.append)
    with serving(serve_recorded(tmp_path), at) as copy:
        table = copy.get(f"/{BOARD}/table?tab={job.name}").json()
    started = [run.started for run in world.runs(job, at - timedelta(days=20), at)]
    assert table["timestamps"][0] == max(int(s.timestamp()) for s in started) * 1000


def test_trouble_on_the_way_is_outlasted(served, tmp_path, naps):
    with serving(served, EPOCH) as origin:
        faults = [
            {"match": "/dashboards", "kind": "500"},
            {"match": "/summary", "kind": "429", "retry_after": 7},
            {"match": "-e2e-aws$|-e2e-aws&", "kind": "truncate"},
            {"match": "metal", "kind": "malformed", "times": 2},
        ]
        assert origin.post("/_ciworld/faults", json=faults).status_code == 200
        counts = record(str(origin.base_url), BOARD, tmp_path, 0, naps.append)
        struck = [fault["hits"] for fault in origin.get("/_ciworld/faults").json()["faults"]]
    assert counts == {"dashboards": 1, "tables": 6, "missing": 0}
    assert struck == [1, 1, 1, 2]
    assert 7 in naps


def test_a_table_that_cannot_be_had_is_named_and_the_others_are_written(served, tmp_path, naps, capsys):
    with serving(served, EPOCH) as origin:
        origin.post("/_ciworld/faults", json=[{"match": "metal", "kind": "500", "times": None}])
        counts = record(str(origin.base_url), BOARD, tmp_path, 0, naps.append)
        assert counts == {"dashboards": 1, "tables": 5, "missing": 1}
        assert "e2e-metal-ipi: missing (" in capsys.readouterr().err
        origin.delete("/_ciworld/faults")
        assert record(str(origin.base_url), BOARD, tmp_path, 0, naps.append)["missing"] == 0
    assert len(list((tmp_path / BOARD).iterdir())) == 7
    assert RecordedDashboards(tmp_path).dashboards() == [BOARD]


def test_a_dashboard_without_a_summary_ends_the_recording(served, tmp_path, naps):
    with serving(served, EPOCH) as origin:
        origin.post("/_ciworld/faults", json=[{"match": "summary", "kind": "500", "times": None}])
        with pytest.raises(RecordingError, match=r"summary: HTTP 500 after 5 attempts"):
            record(str(origin.base_url), BOARD, tmp_path, 0, naps.append)
    assert list(tmp_path.iterdir()) == []


class OddDashboards:
    """A dashboard whose tabs are named as no file can be, or leave the folder."""

    names = ("../../evil", "a/b", ".hidden", "summary", "", "plain")

    def __init__(self, payload):
        self.payload = payload

    def dashboards(self):
        return ["board"]

    def summary(self, dashboard, as_of):
        return self.payload({name: {} for name in self.names})

    def table(self, dashboard, tab, as_of, address):
        return self.payload({"timestamps": []})


def test_names_that_cannot_be_files_are_left_out_with_a_word(tmp_path, naps, capsys):
    odd = TestGrid(OddDashboards(Payload.fixed))
    with serving(ServedWorld((odd,), {}, lambda: None, lambda: None), EPOCH) as origin:
        counts = record(str(origin.base_url), "*", tmp_path / "out", 0, naps.append)
    assert counts == {"dashboards": 1, "tables": 1, "missing": 5}
    assert sorted(path.name for path in tmp_path.rglob("*.gz")) == ["plain.json.gz", "summary.json.gz"]
    assert capsys.readouterr().err.count("left out") == 5


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--from", "file:///etc", "--dashboards", "*"), "is no http address"),
        (("--from", "URL", "--dashboards", "nothing-*"), "no dashboard matches 'nothing-*'"),
        (("--from", "URL", "--dashboards", "*", "--pause", "-1"), "must not be negative"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, args, message):
    with serving_process("--synthetic") as process:
        args = [process.url if word == "URL" else word for word in args]
        done = run("record", *args, "--out", tmp_path)
    assert done.returncode == 2
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_command_records_a_running_simulator(tmp_path):
    with serving_process("--synthetic", "--seed", 3) as process:
        args = ("--from", process.url, "--dashboards", BOARD, "--out", tmp_path / "out", "--pause", 0)
        done = run("record", *args)
        assert done.returncode == 0, done.stderr
        assert orjson.loads(done.stdout) == {"dashboards": 1, "tables": 6, "missing": 0}
    described = orjson.loads(run("world", "--recorded", tmp_path / "out").stdout)
    assert described["last_day"] == "2026-02-28"


def test_recording_twice_gives_the_same_summary_file(served, tmp_path, naps):
    with serving(served, EPOCH) as origin:
        for name in ("one", "two"):
            record(str(origin.base_url), BOARD, tmp_path / name, 0, naps.append)
    one, two = ((tmp_path / name / BOARD / "summary.json.gz").read_bytes() for name in ("one", "two"))
    assert one == two
    assert not list(tmp_path.rglob("*.new"))


# ---- the days of a world


def test_the_days_of_a_synthetic_world_hold_runs(world):
    span = world.span()
    job = world.universe.jobs[0]
    first, last = (parse_instant(day.isoformat()) for day in (span.first, span.last))
    assert world.runs(job, first, first + timedelta(days=1))
    assert not world.recent_runs(job, first - timedelta(seconds=1), 1)
    assert parse_instant(world.truth()["horizon"]) == last + timedelta(days=1)


def test_the_days_of_recordings_are_those_of_their_runs(small, capsys):  # noqa: F811
    folder = small / "deep" / "er" / "red-board"
    write(folder / "later.json.gz", {"timestamps": [stamp(40), stamp(2)]})
    write(folder / "none.json.gz", {"timestamps": []})
    (folder / "torn.json.gz").write_bytes(b"\x1f\x8b\x08torn")
    found = serve_recorded(small).describe()
    assert found == {
        "kind": "recorded",
        "folder": str(small),
        "first_day": "2021-07-01",
        "last_day": "2021-08-10",
    }
    assert "torn.json.gz: left out of the span of days" in capsys.readouterr().err


def test_recordings_without_runs_have_no_days(tmp_path):
    write(tmp_path / "board" / "summary.json.gz", {})
    assert serve_recorded(tmp_path).describe()["first_day"] is None


def test_the_world_is_told_over_http_and_by_the_command(small):  # noqa: F811
    days = {"first_day": "2026-01-15", "last_day": "2027-04-04"}
    with serving(serve_synthetic(SyntheticWorld(7)), EPOCH) as client:
        assert client.get("/_ciworld/world").json() == {"kind": "synthetic", "seed": 7, **days}
    assert orjson.loads(run("world", "--synthetic", "--seed", 7).stdout)["last_day"] == days["last_day"]
    with serving(serve_recorded(small), None) as client:
        assert client.get("/_ciworld/world").json()["last_day"] == "2021-07-04"


def test_what_is_no_world_is_one_line(tmp_path):
    done = run("world", "--recorded", tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_files_are_gzip_json(served, tmp_path, naps):
    with serving(served, EPOCH) as origin:
        record(str(origin.base_url), BOARD, tmp_path, 0, naps.append)
    for path in (tmp_path / BOARD).iterdir():
        assert isinstance(orjson.loads(gzip.decompress(path.read_bytes())), dict)
