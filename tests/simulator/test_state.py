"""What a kill leaves: clock and planned faults, of this world only, never half of them."""

import signal
import threading
from datetime import UTC, datetime, timedelta

import httpx
import orjson
import pytest

from ciworld.clock import Clock, parse_instant
from ciworld.faults import Faults, parse_fault
from ciworld.state import StateFile

from .process import run, serving_process
from .test_recorded import small  # noqa: F401 - a fixture

WORLD = {"kind": "synthetic", "seed": 7}
NIGHT = {"as_of": "2026-03-09T00:00:00Z"}
SEVEN = ("--synthetic", "--seed", 7)


def clock_of(process):
    return httpx.get(f"{process.url}/_ciworld/clock").json()


def kill(process):
    """Send SIGKILL, and return what the process wrote on standard error."""
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    return process.stderr.read()


def test_clock_and_faults_survive_a_kill(tmp_path):
    args = (*SEVEN, "--state", tmp_path / "state.json", "--as-of", "2026-03-02")
    with serving_process(*args) as process:
        assert clock_of(process) == {"as_of": "2026-03-02T00:00:00Z"}
        httpx.post(f"{process.url}/_ciworld/clock", json=NIGHT).raise_for_status()
        plan = [{"match": "summary", "kind": "429", "times": 3}, {"match": "table", "kind": "500"}]
        httpx.post(f"{process.url}/_ciworld/faults", json=plan).raise_for_status()
        board = "ciworld-release-1.1-blocking"
        assert httpx.get(f"{process.url}/{board}/summary").status_code == 429
        faults = httpx.get(f"{process.url}/_ciworld/faults").json()
        kill(process)
    with serving_process(*args) as process:
        assert clock_of(process) == NIGHT
        assert httpx.get(f"{process.url}/_ciworld/faults").json() == faults
        statuses = [httpx.get(f"{process.url}/{board}/summary").status_code for _ in range(3)]
        assert statuses == [429, 429, 200]
        httpx.delete(f"{process.url}/_ciworld/faults").raise_for_status()
        assert "simulator clock: 2026-03-09T00:00:00Z, from" in kill(process)
    with serving_process(*args) as process:
        assert httpx.get(f"{process.url}/_ciworld/faults").json() == {"faults": []}


def test_without_a_state_file_a_kill_loses_the_clock():
    with serving_process(*SEVEN) as process:
        httpx.post(f"{process.url}/_ciworld/clock", json=NIGHT).raise_for_status()
        kill(process)
    with serving_process(*SEVEN) as process:
        assert clock_of(process) == {"as_of": "2026-03-01T00:00:00Z"}


def test_a_clock_that_is_off_stays_off(tmp_path, small):  # noqa: F811
    args = ("--recorded", small, "--as-of", "2021-07-02", "--state", tmp_path / "state.json")
    with serving_process(*args) as process:
        httpx.post(f"{process.url}/_ciworld/clock", json={"as_of": None}).raise_for_status()
        kill(process)
    with serving_process(*args) as process:
        assert clock_of(process) == {"as_of": None}


@pytest.mark.parametrize("other", [("--synthetic", "--seed", 8), ("--recorded", "small")])
def test_another_world_does_not_use_the_state(tmp_path, small, other):  # noqa: F811
    other = [small if word == "small" else word for word in other]
    state = tmp_path / "state.json"
    with serving_process(*SEVEN, "--state", state) as process:
        httpx.post(f"{process.url}/_ciworld/clock", json=NIGHT).raise_for_status()
        kill(process)
    with serving_process(*other, "--state", state, "--as-of", "2026-03-03") as process:
        assert clock_of(process) == {"as_of": "2026-03-03T00:00:00Z"}
        assert "of another world (synthetic 7), not used" in kill(process)
    with serving_process(*other, "--state", state) as process:
        assert clock_of(process) == {"as_of": "2026-03-03T00:00:00Z"}


STATE = {"format": 1, "world": WORLD, "as_of": None, "faults": []}
UNREADABLE = [
    b"",
    b"\x1f\x8b",
    b'{"format": 1, "wor',
    b"[1]",
    orjson.dumps(STATE | {"format": 2}),
    orjson.dumps(STATE | {"as_of": "soon"}),
    orjson.dumps(STATE | {"faults": None}),
    orjson.dumps(STATE | {"faults": [{"kind": "500"}]}),
    orjson.dumps(STATE | {"faults": [{"kind": "explode", "hits": 0}]}),
    b" " * (4 * 1024 * 1024 + 1),
]


@pytest.mark.parametrize("content", UNREADABLE)
def test_what_cannot_be_read_is_moved_aside_with_a_word(tmp_path, content):
    path, logged = tmp_path / "state.json", []
    path.write_bytes(content)
    assert StateFile(path, WORLD, logged.append).read() is None
    assert len(logged) == 1 and "unreadable" in logged[0]
    assert [file.name for file in tmp_path.iterdir()] == ["state.json.unreadable"]
    assert (tmp_path / "state.json.unreadable").read_bytes() == content


def test_a_server_starts_on_a_state_that_cannot_be_read(tmp_path):
    state = tmp_path / "state.json"
    state.write_text("torn {")
    with serving_process(*SEVEN, "--state", state) as process:
        assert clock_of(process) == {"as_of": "2026-03-01T00:00:00Z"}
        assert "unreadable" in kill(process)
    assert orjson.loads(state.read_bytes())["world"] == WORLD


@pytest.mark.parametrize("name", ["folder", "missing/state.json"])
def test_a_place_that_cannot_hold_a_state_is_a_clear_error(tmp_path, name):
    (tmp_path / "folder").mkdir()
    done = run("serve", *SEVEN, "--state", tmp_path / name)
    assert done.returncode == 2
    assert done.stderr.startswith("ciworld: cannot ") and str(tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_clock_that_cannot_be_kept_is_refused(tmp_path):
    folder = tmp_path / "of-state"
    folder.mkdir()
    with serving_process(*SEVEN, "--state", folder / "state.json") as process:
        (folder / "state.json").unlink()
        folder.rmdir()
        answer = httpx.post(f"{process.url}/_ciworld/clock", json=NIGHT)
        assert answer.status_code == 500
        assert "cannot write the state file" in answer.text


def test_changes_at_once_leave_a_whole_file_with_the_last_of_them(tmp_path):
    file, clock = StateFile(tmp_path / "state.json", WORLD), Clock(datetime(2026, 3, 1, tzinfo=UTC))
    faults = Faults([parse_fault({"kind": "500", "times": None})])

    def change(number):
        for step in range(20):
            clock.set(datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=number, minutes=step))
            file.write(clock, faults)
            assert file.read() is not None

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read().as_of == clock.as_of
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_help_says_who_wins():
    output = " ".join(run("serve", "--help").stdout.split())
    assert "a state of the same world wins over them" in output


def test_a_state_is_plain_json_for_people(tmp_path):
    file = StateFile(tmp_path / "state.json", WORLD)
    file.write(Clock(parse_instant("2026-03-02")), Faults())
    assert orjson.loads((tmp_path / "state.json").read_bytes()) == STATE | {"as_of": "2026-03-02T00:00:00Z"}
