"""Plays nights: sets the simulated clock to the end of a day, lets Airflow do that day's work, and repeats.

Airflow is driven as an operator would drive it, through its REST API, and everything is safe to repeat: a
night played twice makes new runs for the same day, and the tables stay as they are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from deploy.local import configuration, layout
from deploy.local.commands import up as stack
from deploy.local.commands.nights.report import Night, report
from deploy.local.commands.nights.steps import MAINTAIN, find_steps
from deploy.local.errors import CONNECTION_ERRORS, StackError
from deploy.local.install import environments
from deploy.local.layout import Layout
from deploy.local.log import logger
from deploy.local.services import superset
from deploy.local.services.airflow_client import Airflow
from deploy.local.services.trino_client import ask

SIMULATED = "testgrid"
"""The source that the simulator replaces, and whose service an address is."""
STEPS = find_steps({SIMULATED})
CHAIN = (*STEPS.landing, *STEPS.following)

DEMO_START, DEMO_NIGHTS = date(2026, 2, 18), 3
TRAIN_EVERY_DAYS = 7
START_SECONDS = 120
"""How long the next DAG may take to start after the one it follows."""
MAINTENANCE_SECONDS = 1800
NEWS_SECONDS = 20
POLL_SECONDS = 1.0
"""Between two requests for the runs: each takes time of the API server that the jobs then lack."""


def main(argv: Sequence[str] | None = None) -> int:
    """Play the nights that the arguments name; return the exit status."""
    arguments = _parser().parse_args(argv)
    if arguments.demo:
        arguments.source, arguments.start = "synthetic", arguments.start or DEMO_START
        arguments.nights = arguments.nights or DEMO_NIGHTS
    elif arguments.start is None:
        raise StackError("no first night: make nights FROM=synthetic START=2026-03-01 NIGHTS=3")
    here = layout.current()
    settings = _prepare(here, arguments)
    airflow = Airflow(
        settings["CILAKE_AIRFLOW_URL"],
        settings["CILAKE_AIRFLOW_USER"],
        Path(settings["CILAKE_AIRFLOW_PASSWORD_FILE"]),
    )
    _switch_on(airflow)
    # Nobody looks at the dashboards before the first night is over.
    with ThreadPoolExecutor(1) as parallel:
        imported = parallel.submit(superset.import_dashboards, here, settings)
        try:
            played = [
                _play(airflow, settings, arguments.start + timedelta(days=number), arguments)
                for number in range(arguments.nights or 1)
            ]
            _maintain(airflow, played[-1].day)
        finally:
            # What follows the clock of the machine must not request the real yesterday from the simulator.
            for dag_id in STEPS.by_clock:
                airflow.pause(dag_id, True)
        imported.result()
    report(here, settings, played)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nights", description="Play nights through Airflow.")
    parser.add_argument(
        "--from",
        dest="source",
        default="synthetic",
        help="'synthetic', a folder of payloads, or the address of a service, whose clock is left alone",
    )
    parser.add_argument("--start", type=_day, metavar="YYYY-MM-DD", help="the first night's day")
    parser.add_argument("--nights", type=_positive, metavar="N", help="how many nights")
    parser.add_argument("--demo", action="store_true", help="play the nights of the demonstration")
    parser.add_argument("--seed", type=int, default=7, help="of the synthetic world")
    parser.add_argument("--train", action="store_true", help="train after the first night, even if not due")
    parser.add_argument("--night-minutes", type=_positive, default=60, help="bound of one night")
    return parser


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day, expected YYYY-MM-DD") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


# ---- the stack and the world


def _prepare(here: Layout, arguments: argparse.Namespace) -> dict[str, str]:
    """Start the stack with the wanted world behind the address of TestGrid; return the settings.

    The address of a service is used as it is.
    """
    if is_address(arguments.source):
        environments.setup(here)
        here.make()
        return stack.up(here, changes={"CILAKE_TESTGRID_URL": arguments.source}, dashboards=False)
    if arguments.source == "synthetic":
        world = ["--synthetic", "--seed", str(arguments.seed)]
    else:
        folder = Path(arguments.source).resolve()
        if not folder.is_dir():
            raise StackError(f"FROM={arguments.source} is neither 'synthetic' nor a folder nor an address")
        world = ["--recorded", str(folder)]
    environments.setup(here)
    _check_days(_describe_world(here, world), arguments.start, arguments.nights or 1)
    here.make()
    address = configuration.prepare(here)["CILAKE_CIWORLD_URL"]
    settings = stack.up(here, changes={"CILAKE_TESTGRID_URL": address}, dashboards=False)
    logger.info(f"simulator: serving {' '.join(world)}")
    stack.start_ciworld(here, world)
    return settings


def is_address(source: str) -> bool:
    """Return whether nights are played from a service that exists, with its own clock."""
    return source.startswith(("http://", "https://"))


def _describe_world(here: Layout, world: Sequence[str]) -> dict[str, Any]:
    """Return what the simulator says about the world of these arguments, without serving it."""
    command = [str(here.bin("jobs", "ciworld")), "world", *world]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(done.stderr.strip().removeprefix("ciworld: "))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _check_days(world: Mapping[str, Any], start: date, nights: int) -> None:
    """Check that the simulated world has every one of the nights' days."""
    if world["first_day"] is None:
        raise StackError(f"no run in the recordings of {world['folder']}: choose another folder with FROM=")
    last = start + timedelta(days=nights - 1)
    days = f"the simulated world has {world['first_day']} to {world['last_day']}"
    if start < date.fromisoformat(world["first_day"]):
        raise StackError(f"START={start} is too early: {days}")
    if last > date.fromisoformat(world["last_day"]):
        raise StackError(f"the last night, {last}, is too late (START={start} NIGHTS={nights}): {days}")


def _set_clock(settings: Mapping[str, str], day: date) -> None:
    """Set the simulator's clock to the end of the day."""
    body = json.dumps({"as_of": f"{day + timedelta(days=1)}T00:00:00Z"}).encode()
    url = f"{settings['CILAKE_CIWORLD_URL']}/_ciworld/clock"
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - our own loopback address
            return
    except urllib.error.HTTPError as error:
        raise StackError(
            f"the simulator refuses the clock: {error.read().decode(errors='replace')}"
        ) from None
    except CONNECTION_ERRORS as error:
        raise StackError(
            f"the simulator does not respond: {str(error).strip()}; see `make logs S=ciworld`"
        ) from None


def _until(condition: Callable[[], bool], seconds: float, failure: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(failure)
        time.sleep(0.5)


# ---- Airflow


def _switch_on(airflow: Airflow) -> None:
    """Wait until Airflow knows every DAG, and switch them on: a paused one would let its runs wait."""

    def known() -> bool:
        if errors := airflow.import_errors():
            raise StackError("a DAG file does not load:\n" + "\n".join(errors))
        return all(airflow.dag(dag_id) for dag_id in STEPS.every)

    _until(
        known,
        START_SECONDS,
        f"Airflow does not know all of {', '.join(STEPS.every)}: see `make logs S=airflow-dag-processor`",
    )
    for dag_id in STEPS.every:
        airflow.pause(dag_id, False)


def _play(airflow: Airflow, settings: Mapping[str, str], day: date, arguments: argparse.Namespace) -> Night:
    """Play one night: the clock, the chain of DAGs for the day, and training when it is due."""
    started = time.monotonic()
    deadline = started + arguments.night_minutes * 60
    key = day.isoformat()
    _settle(airflow, deadline)
    if not is_address(arguments.source):
        _set_clock(settings, day)
        logger.info(f"night {key}: simulator clock: set to {day + timedelta(days=1)}")
    before = {dag_id: set(airflow.runs(dag_id, key)) for dag_id in STEPS.following}
    counts: dict[str, Mapping[str, Any]] = {}
    landings = {dag_id: airflow.trigger(dag_id, key).__eq__ for dag_id in STEPS.landing}
    _follow(airflow, landings, key, deadline, counts)
    for stage in STEPS.stages:
        new = {dag_id: _not_in(before[dag_id]) for dag_id in stage}
        _follow(airflow, new, key, deadline, counts)
    for dag_id in STEPS.training:
        if (arguments.train and day == arguments.start) or _training_due(settings, dag_id, day):
            _follow(airflow, {dag_id: airflow.trigger(dag_id, key).__eq__}, key, deadline, counts)
    _settle(airflow, deadline)
    seconds = time.monotonic() - started
    logger.info(f"night {key}: done in {seconds:.0f} s")
    return Night(key, counts, seconds)


def _maintain(airflow: Airflow, key: str) -> None:
    """Maintain the tables as in a lake in use: nights leave many small files."""
    run_id = airflow.trigger(MAINTAIN, key)
    _follow(airflow, {MAINTAIN: run_id.__eq__}, key, time.monotonic() + MAINTENANCE_SECONDS, {})


def _not_in(known: set[str]) -> Callable[[str], bool]:
    return lambda run_id: run_id not in known


def _follow(
    airflow: Airflow,
    wanted: Mapping[str, Callable[[str], bool]],
    key: str,
    deadline: float,
    counts: dict[str, Mapping[str, Any]],
) -> None:
    """Wait until every DAG has a successful wanted run; a failed one ends the nights with its log."""
    started = {dag_id: time.monotonic() for dag_id in wanted}
    logged: dict[str, str] = {}
    waited_for: dict[str, Mapping[str, Any]] = {}
    open_dags = set(wanted)
    news = time.monotonic() + NEWS_SECONDS
    while open_dags:
        for dag_id in sorted(open_dags):
            runs = {
                run_id: run for run_id, run in airflow.runs(dag_id, key).items() if wanted[dag_id](run_id)
            }
            seconds = time.monotonic() - started[dag_id]
            for run_id, run in runs.items():
                if run["state"] == "failed":
                    raise StackError(_failure(airflow, dag_id, run_id))
            if runs and all(run["state"] == "success" for run in runs.values()):
                counts[dag_id] = airflow.returned(dag_id, max(runs, key=lambda each: runs[each]["run_after"]))
                logger.info(f"  {dag_id}: success after {seconds:.0f} s {json.dumps(counts[dag_id])[:200]}")
                open_dags.remove(dag_id)
            elif not runs and seconds > START_SECONDS:
                raise StackError(
                    f"{dag_id} did not start for {key} within {START_SECONDS} s: see `make status`"
                )
            else:
                waited_for[dag_id] = runs
        if time.monotonic() > deadline:
            raise StackError(
                f"night {key} took too long, waiting for {', '.join(sorted(open_dags))}; repeat to go on"
            )
        if open_dags and time.monotonic() > news:
            news += NEWS_SECONDS
            waited = [
                f"{dag_id} ({time.monotonic() - started[dag_id]:.0f} s)" for dag_id in sorted(open_dags)
            ]
            logger.info(f"  waiting: {', '.join(waited)}")
            for dag_id in sorted(open_dags):
                _log_retries(airflow, dag_id, waited_for[dag_id], logged)
        if open_dags:
            time.sleep(POLL_SECONDS)


def _log_retries(airflow: Airflow, dag_id: str, runs: Mapping[str, Any], logged: dict[str, str]) -> None:
    for run_id in runs:
        for task in airflow.tasks(dag_id, run_id):
            state = f"{task['state']} {task['try_number']}"
            if task["state"] == "up_for_retry" and logged.get(dag_id) != state:
                logged[dag_id] = state
                tail = airflow.log_tail(dag_id, run_id, task, lines=4)
                logger.info(f"  {dag_id}: try {task['try_number']} failed, Airflow tries again\n{tail}")


def _failure(airflow: Airflow, dag_id: str, run_id: str) -> str:
    parts = [f"{dag_id} failed ({run_id})"]
    for task in airflow.tasks(dag_id, run_id):
        if task["state"] in ("failed", "upstream_failed"):
            parts.append(f"--- {task['task_id']}, try {task['try_number']}, its last lines:")
            parts.append(airflow.log_tail(dag_id, run_id, task))
    page = f"{airflow.url}/dags/{dag_id}/runs/{run_id}"
    parts.append(
        f"--- the whole log: {page}\nThe DAG's page says how to triage. Fix the cause, repeat the command."
    )
    return "\n".join(parts)


def _settle(airflow: Airflow, deadline: float) -> None:
    """Wait until no run of ours is under way: an interrupted command may have left some."""
    news = time.monotonic() + 3
    while active := airflow.active(STEPS.every):
        if time.monotonic() > deadline:
            names = ", ".join(sorted({dag_id for dag_id, _ in active}))
            raise StackError(f"runs of {names} do not end: see {airflow.url}/dags")
        if time.monotonic() > news:
            news += NEWS_SECONDS
            logger.info(f"  waiting: {len(active)} earlier runs are active")
        time.sleep(POLL_SECONDS)


# ---- what came of it


def _training_due(settings: Mapping[str, str], dag_id: str, day: date) -> bool:
    """Return whether training is due: there was none within a week before the day, nor for a later day."""
    query = "select model_name, cast(max(trained_through_date) as varchar) from ops.model_versions group by 1"
    _, rows = ask(settings["CILAKE_TRINO_URL"], query)
    latest = dict(rows).get(dag_id.removeprefix("train_"))
    return latest is None or (day - date.fromisoformat(latest)).days >= TRAIN_EVERY_DAYS
