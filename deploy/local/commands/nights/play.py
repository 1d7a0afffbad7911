"""Plays nights: sets the simulated clock to the end of a day, lets Airflow do that day's work, and repeats.

Airflow is driven as an operator would drive it, through its REST API, and everything is safe to repeat: a
night played twice makes new runs for the same day, and the tables stay as they are.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from deploy.local.commands.nights import world
from deploy.local.commands.nights.report import Night, report
from deploy.local.commands.nights.steps import MAINTAIN, find_steps
from deploy.local.errors import StackError
from deploy.local.layout import Layout
from deploy.local.services import superset
from deploy.local.services.airflow_client import Airflow
from deploy.local.services.trino_client import ask

from cilake.log import logger

STEPS = find_steps({world.SIMULATED})
CHAIN = (*STEPS.landing, *STEPS.following)

TRAIN_EVERY_DAYS = 7
START_SECONDS = 120
"""How long the next DAG may take to start after the one it follows."""
MAINTENANCE_SECONDS = 1800
NEWS_SECONDS = 20
POLL_SECONDS = 1.0
"""Between two requests for the runs: each takes time of the API server that the jobs then lack."""


def play_nights(arguments: argparse.Namespace, here: Layout) -> int:
    """Play the nights that the arguments name, from `start` on; return the exit status."""
    settings = world.prepare(here, arguments)
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


def _until(condition: Callable[[], bool], seconds: float, failure: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(failure)
        time.sleep(0.5)


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
    if not world.is_address(arguments.source):
        world.set_clock(settings, day)
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
