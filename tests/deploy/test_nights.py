"""Nights against a fake Airflow, simulator and Trino that speak over loopback."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from deploy.local import layout
from deploy.local.__main__ import parse
from deploy.local.commands.nights import play, report
from deploy.local.commands.nights import world as nights_world
from deploy.local.errors import StackError
from deploy.local.services.airflow_client import Airflow
from deploy.local.services.table import BY_NAME
from deploy.local.services.trino_client import ask

SCORING = [step for step in play.STEPS.following if step.startswith("score_")]
FOLLOWS = {
    "land_testgrid": ["build_core_ci"],
    "build_core_ci": ["build_kpi_ci_health", *SCORING],
} | {step: [step.replace("score_", "measure_", 1), "build_kpi_predictions"] for step in SCORING}
DAY = "2026-03-01"


class FakeAirflow:
    """Runs end when they are looked at for the second time, and then start those that follow."""

    def __init__(self):
        self.runs, self.looked, self.paused = {}, {}, dict.fromkeys(play.STEPS.every, True)
        self.failing, self.silent, self.unavailable, self.valid = set(), set(), 0, set()
        self.clock, self.logins, self.trained = None, 0, None
        self.cut_short = 0

    def start(self, dag_id, key, run_id):
        self.runs.setdefault(dag_id, {})[run_id] = {
            "dag_run_id": run_id,
            "partition_key": key,
            "state": "running",
            "run_after": f"{len(self.looked):04}",
        }
        self.looked[run_id] = 0

    def advance(self, dag_id):
        for run_id, run in self.runs.get(dag_id, {}).items():
            self.looked[run_id] += 1
            if run["state"] == "running" and self.looked[run_id] > 1:
                run["state"] = "failed" if dag_id in self.failing else "success"
                if run["state"] == "success":
                    for other in set(FOLLOWS.get(dag_id, [])) - self.silent:
                        self.start(other, run["partition_key"], f"{other}-{len(self.looked)}")

    def answer(self, method, path, body, token):
        if path == "/auth/token":
            assert body == {"username": "admin", "password": "secret"}
            self.logins += 1
            self.valid = {f"t{self.logins}"}
            return 201, {"access_token": f"t{self.logins}"}
        if path == "/_ciworld/clock":
            self.clock = body["as_of"]
            return 200, {}
        if path == "/v1/statement":
            columns = [{"name": "model_name"}, {"name": "latest"}]
            models = [dag_id.removeprefix("train_") for dag_id in play.STEPS.training]
            return 200, {"columns": columns, "data": [[model, self.trained] for model in models]}
        if self.unavailable:
            self.unavailable -= 1
            return 503, {}
        if token not in self.valid:
            return 401, {}
        return self.api(method, path.removeprefix("/api/v2").partition("?")[0].split("/")[1:], body)

    def api(self, method, path, body):
        if path == ["importErrors"]:
            return 200, {"import_errors": []}
        dag_id = path[1]
        if path[2:] == [] and method == "PATCH":
            self.paused[dag_id] = body["is_paused"]
        if path[2:] == []:
            return 200, {"dag_id": dag_id, "is_paused": self.paused[dag_id]}
        if path[2:] == ["dagRuns"] and method == "POST":
            if body["dag_run_id"] in self.looked:
                return 409, {}
            self.start(dag_id, body["partition_key"], body["dag_run_id"])
            return 200, {}
        if path[2:] == ["dagRuns"]:
            self.advance(dag_id)
            return 200, {"dag_runs": list(self.runs.get(dag_id, {}).values())}
        if path[-1] == "taskInstances":
            state = self.runs[dag_id][path[3]]["state"]
            return 200, {"task_instances": [{"task_id": "work", "state": state, "try_number": 3}]}
        if "logs" in path:
            assert path[-1] == "3"
            return 200, {"content": [{"event": "reading"}, {"event": "the table is gone"}]}
        return 200, {"value": {"landed": 4} if dag_id == "land_testgrid" else {"core.ci_runs": 9}}


@pytest.fixture
def world(tmp_path, monkeypatch):
    fake = FakeAirflow()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            json_body = raw and self.path != "/v1/statement"
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, answer = fake.answer(
                self.command, self.path, json.loads(raw) if json_body else None, token
            )
            text = json.dumps(answer).encode()
            self.send_response(status)
            missing = 1 if fake.cut_short else 0
            fake.cut_short -= missing
            self.send_header("Content-Length", str(len(text) + missing))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = handle_one

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "passwords.json").write_text('{"admin": "secret"}')
    monkeypatch.setattr(play.time, "sleep", lambda seconds: None)
    fake.airflow = Airflow(url, "admin", tmp_path / "passwords.json")
    fake.settings = {"CILAKE_CIWORLD_URL": url, "CILAKE_TRINO_URL": url}
    yield fake
    server.shutdown()


def run(*args):
    """Run `make nights` with these arguments; its exit status."""
    arguments = parse(["nights", *args])
    return arguments.run(arguments, layout.current())


def play_night(world, **changes):
    arguments = argparse.Namespace(
        **({"night_minutes": 1, "train": False, "start": date(2026, 3, 1), "source": "synthetic"} | changes)
    )
    return play._play(world.airflow, world.settings, date(2026, 3, 1), arguments)


def test_a_night(world):
    world.trained = "2026-02-25"
    played = play_night(world)
    assert world.clock == "2026-03-02T00:00:00Z"
    assert set(played.counts) == set(play.CHAIN)
    assert {run["partition_key"] for runs in world.runs.values() for run in runs.values()} == {DAY}
    assert report._row(played)[:3] == [DAY, 4, ""]


def test_the_steps_are_those_of_the_contracts_in_their_order():
    assert play.CHAIN[0] == "land_testgrid"
    for before, afters in FOLLOWS.items():
        for after in afters:
            assert play.CHAIN.index(before) < play.CHAIN.index(after)
    assert play.STEPS.stages[0] == ("build_core_ci",)
    assert {"build_kpi_ci_health", "score_test_failure"} <= set(play.STEPS.stages[1])


def test_the_clock_of_a_service_that_exists_is_left_alone(world):
    world.trained = "2026-02-25"
    assert set(play_night(world, source="https://testgrid.example").counts) == set(play.CHAIN)
    assert world.clock is None


@pytest.mark.parametrize(
    ("trained", "due"), [(None, True), ("2026-02-22", True), ("2026-02-23", False), ("2026-03-09", False)]
)
def test_training_is_weekly_and_not_repeated(world, trained, due):
    world.trained = trained
    assert ("train_test_failure" in play_night(world).counts) is due


def test_the_closing_report(world, monkeypatch, capsys):
    monkeypatch.setattr(report.urls, "print_urls", lambda here, as_json: sys.stdout.write("the urls"))
    world.trained = DAY
    night = play_night(world)
    night.counts["land_testgrid"] = {"landed": 26, "missing": 2, "rejected": 0}
    report.report(None, world.settings, [night])
    output = capsys.readouterr().out
    assert "is incomplete: 2 missing; see ops.fetches" in output
    assert "predictions.test_failure_outcomes" in output
    assert output.rstrip().endswith("the urls")


def test_a_repeat_makes_new_runs(world):
    world.trained = DAY
    play_night(world)
    play_night(world)
    assert {dag_id: len(runs) for dag_id, runs in world.runs.items()} == dict.fromkeys(play.CHAIN, 2)


def test_what_an_interrupted_command_left_ends_first(world):
    world.trained = DAY
    world.start("land_testgrid", DAY, "left")
    play_night(world)
    assert world.runs["land_testgrid"]["left"]["state"] == "success"
    assert len(world.runs["measure_test_failure"]) == 2


def test_a_failure_shows_the_log_and_the_way_out(world):
    world.failing = {"score_test_failure"}
    with pytest.raises(StackError, match=r"score_test_failure failed(.|\n)*the table is gone(.|\n)*repeat"):
        play_night(world)


def test_a_dag_that_does_not_follow_is_named(world, monkeypatch):
    monkeypatch.setattr(play, "START_SECONDS", 0)
    world.silent = {"build_core_ci"}
    with pytest.raises(StackError, match="build_core_ci did not start for 2026-03-01"):
        play_night(world)


def test_a_restart_and_an_expired_token_are_outlasted(world):
    world.unavailable = 3
    assert world.airflow.dag("build_core_ci")["is_paused"]
    world.valid = set()
    assert world.airflow.dag("build_core_ci")["is_paused"]
    assert world.logins == 2


def test_an_answer_that_ends_half_way_is_asked_for_again(world):
    """What a service that is killed while it responds leaves."""
    world.cut_short = 2
    assert world.airflow.dag("build_core_ci")["is_paused"]
    world.cut_short = 2
    assert ask(world.settings["CILAKE_TRINO_URL"], "select 1")[0] == ["model_name", "latest"]


def test_every_dag_is_switched_on(world):
    play._switch_on(world.airflow)
    assert not any(world.paused.values())


def test_what_follows_the_clock_is_paused_in_the_end(world, monkeypatch):
    world.failing = {"land_testgrid"}
    settings = world.settings | {
        "CILAKE_AIRFLOW_URL": world.airflow.url,
        "CILAKE_AIRFLOW_USER": "admin",
        "CILAKE_AIRFLOW_PASSWORD_FILE": str(world.airflow.password_file),
    }
    monkeypatch.setattr(nights_world, "prepare", lambda here, arguments: settings)
    with pytest.raises(StackError, match="land_testgrid failed"):
        run("--start", DAY)
    assert {dag_id for dag_id, paused in world.paused.items() if paused} == set(play.STEPS.by_clock)


@pytest.mark.parametrize("args", [["--start", "2026-3-1"], ["--start", "2026-03-01", "--nights", "0"]])
def test_wrong_arguments(args, capsys):
    with pytest.raises(SystemExit):
        run(*args)
    assert "2026-3-1" in capsys.readouterr().err or args[-1] == "0"


def test_no_first_night():
    with pytest.raises(StackError, match="START=2026-03-01"):
        run()


def test_table(capsys):
    report.print_table(["a", "long_name"], [[1, "\x1b[2J"]])
    assert "\x1b" not in capsys.readouterr().out
    report.print_table(["a", "long_name"], [[1, None], ["x" * 100, 2.5]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["a", "long_name"]
    assert "…" in lines[3]
    assert all(len(line) <= 72 for line in lines)


WORLD = {"kind": "synthetic", "seed": 7, "first_day": "2026-01-15", "last_day": "2027-04-04"}


@pytest.mark.parametrize(
    ("start", "nights_", "message"),
    [
        ("2026-01-14", 1, "START=2026-01-14 is too early"),
        ("2027-04-05", 1, "the last night, 2027-04-05, is too late"),
        ("2027-04-03", 3, "the last night, 2027-04-05, is too late"),
    ],
)
def test_a_night_that_the_world_does_not_have_is_refused_with_its_days(start, nights_, message):
    with pytest.raises(StackError, match=f"{message}.*: the simulated world has 2026-01-15 to 2027-04-04"):
        nights_world.check_days(WORLD, date.fromisoformat(start), nights_)


@pytest.mark.parametrize(("start", "nights_"), [("2026-01-15", 1), ("2027-04-03", 2), ("2026-02-18", 3)])
def test_the_first_and_the_last_day_can_be_played(start, nights_):
    nights_world.check_days(WORLD, date.fromisoformat(start), nights_)


def test_recordings_without_a_run_have_no_day():
    empty = WORLD | {"folder": "somewhere", "first_day": None, "last_day": None}
    with pytest.raises(StackError, match="no run in the recordings of somewhere"):
        nights_world.check_days(empty, date(2026, 1, 15), 1)


@pytest.fixture
def command(tmp_path):
    """A function: what a command of the embedded stack leaves in a fresh home, with its status and output."""
    home = tmp_path / "home"

    def command(*args):
        done = subprocess.run(
            [sys.executable, "-m", "deploy.local", *args],
            cwd=layout.REPO,
            env={**os.environ, "CILAKE_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done, home

    return command


def test_a_start_outside_the_synthetic_world_ends_before_anything_is_started(command):
    done, home = command("nights", "--start", "2025-01-01")
    assert done.returncode == 1
    output = [line for line in done.stderr.splitlines() if line.startswith("cilake: ")]
    assert output == [
        "cilake: START=2025-01-01 is too early: the simulated world has 2026-01-15 to 2027-04-04"
    ]
    assert "Traceback" not in done.stderr
    assert not home.exists()


def test_a_start_outside_the_recordings_names_their_days(command, tmp_path):
    recorded = tmp_path / "board"
    recorded.mkdir()
    started = {"timestamps": [1623201060000, 1622505600000]}  # 2021-06-09 01:11 and 2021-06-01 00:00 UTC
    for name, content in (("summary", {}), ("a job", started)):
        (recorded / f"{name}.json.gz").write_bytes(gzip.compress(json.dumps(content).encode()))
    done, home = command("nights", "--from", str(recorded), "--start", "2021-06-10")
    assert (done.returncode, home.exists()) == (1, False)
    assert done.stderr.splitlines()[-1].endswith("the simulated world has 2021-06-01 to 2021-06-09")


def test_a_folder_without_recordings_is_named(command, tmp_path):
    done, home = command("nights", "--from", str(tmp_path), "--start", "2021-06-10")
    assert (done.returncode, home.exists()) == (1, False)
    assert done.stderr.splitlines()[-1].startswith("cilake: no dashboard (folder with summary.json.gz)")


def test_the_stack_starts_the_simulator_with_a_state_file(tmp_path):
    here = layout.Layout(tmp_path / "home", tmp_path / "shared")
    args = BY_NAME["ciworld"].command(here, {"CILAKE_PORT_CIWORLD": "18490"})
    assert args[args.index("--state") + 1] == str(here.data / "ciworld-state.json")
