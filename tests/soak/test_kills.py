"""Nights of real commands on a real stack, with a champion: each command is killed wherever it publishes.

A fourth of ``CILAKE_SOAK`` is the number of kills at random instants that follow; without it this is skipped.
"""

import gzip
import os
import random
import signal
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import numpy as np
import orjson
import pytest
from tests.integration.recorded_nights import CHAIN, Lake, as_recorded, end_of, promote
from tests.simulator.conftest import serving
from tests.support.grids import make_table
from tests.support.temporary_stack import temporary_stack

from cilake import cli
from cilake.contracts.registry import made_by
from cilake.publish.stop_points import STEPS, VARIABLE
from ciworld.clock import milliseconds
from ciworld.recorded.testgrid.folder import RecordedDashboards
from ciworld.services.base import ServedWorld
from ciworld.services.testgrid.service import TestGrid

KILLS = int(os.environ.get("CILAKE_SOAK", "0")) // 4
SEED = os.environ.get("CILAKE_SOAK_SEED") or str(time.time_ns())

BOARD = "release-blocking"
FIRST = date(2026, 1, 1)
HOURS = (5, 17)
JOBS, TESTS = 8, 25
TRAINED = 12
LAST = TRAINED + 40
OWN = ("scored_at", "measured_at", "feature_snapshot_id", "runs_snapshot_id", "model_version")
OWN += ("landing_id", "fetched_at")
"""Columns that say when and by what a row was made, and not what it says."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(14_400),
    pytest.mark.skipif(not KILLS, reason="a soak: `make soak`"),
]


def day_of(number):
    return FIRST + timedelta(days=number)


def code_of(number, job, hour, test):
    """A test is broken everywhere for two days now and then; else it fails once in a while."""
    spell = np.random.default_rng([test, number // 2]).random()
    luck = np.random.default_rng([number, job, hour, test]).random()
    return 12 if luck < (0.85 if spell < 0.06 else 0.004) else 1


def table_of(job):
    """All runs of a job, newest first; a test begins every third day, and the last job on a late day."""
    first = TRAINED + 3 if job == JOBS - 1 else 0
    columns = [(number, hour) for number in range(first, LAST) for hour in HOURS][::-1]
    started = [
        datetime(day.year, day.month, day.day, hour, job, tzinfo=UTC)
        for day, hour in ((day_of(number), hour) for number, hour in columns)
    ]
    rows = {f"test {test}": [code_of(*at(job, *column), test) for column in columns] for test in range(TESTS)}
    for begins in range(0, LAST, 3):
        rows[f"test of day {begins}"] = [0 if number < begins else 1 for number, _ in columns]
    table = make_table(
        rows,
        job=f"job-{job}",
        changelists=[str(number * 100 + hour) for number, hour in columns],
        timestamps=[milliseconds(at) for at in started],
        column_ids=[str(index) for index in range(len(columns))],
        groups=[""] * len(columns),
    )
    return as_recorded(table)


def at(job, number, hour):
    return number, job, hour


def record(root):
    """The folder with the one dashboard."""
    (root / BOARD).mkdir(parents=True)
    summary = {f"job-{job}": {"last_update_timestamp": 4_000_000_000} for job in range(JOBS)}
    for name, payload in {"summary": summary, **{f"job-{job}": table_of(job) for job in range(JOBS)}}.items():
        (root / BOARD / f"{name}.json.gz").write_bytes(gzip.compress(orjson.dumps(payload)))
    return root


@contextmanager
def new_lake(folder):
    """A lake on a separate stack, and the simulator that it lands from."""
    world = ServedWorld(
        (TestGrid(RecordedDashboards(record(folder / "recorded"))),), {}, lambda: None, lambda: None
    )
    (folder / "commands").mkdir()
    with (
        temporary_stack(folder / "home", "spark", "trino") as stack,
        serving(world, end_of(FIRST)) as client,
    ):
        yield Lake(stack, client, folder / "commands")


class Killer:
    """Kills commands at every point that they pass, and then at random instants."""

    def __init__(self):
        self.left = {
            (verb, address): [
                f"{step}:{table.address}" for step in STEPS for table in made_by(f"{verb}_{address}")
            ]
            for verb, address in CHAIN
            if verb != "land"
        }
        self.points, self.instants = 0, 0
        self.rng = random.Random(SEED)

    def kill(self, lake, verb, address, day):
        """Kill the command of a day at what is left of its points, and when none is, at any instant."""
        args = [verb, address, "--start", day.isoformat()]
        for point in list(self.left.get((verb, address), ())):
            code = lake.end(cli.main, args, **{VARIABLE: point})
            assert code in (0, -signal.SIGKILL), (lake.folder / "err").read_text()
            if code == 0:
                return
            self.left[verb, address].remove(point)
            self.points += 1
        if not any(self.left.values()):
            code = lake.end(cli.main, args, seconds=self.rng.uniform(0.1, 2))
            assert code in (0, -signal.SIGKILL), (lake.folder / "err").read_text()
            self.instants += code != 0

    @property
    def is_done(self):
        return not any(self.left.values()) and self.instants >= KILLS


def play(lake, nights, killer=None, chain=CHAIN):
    """Play nights until all are played, or the killer is done; return the number after the last."""
    for number in nights:
        day = day_of(number)
        lake.set_clock(day)
        for verb, address in chain:
            if killer:
                killer.kill(lake, verb, address, day)
            lake.work(verb, address, day)
        if killer and killer.is_done:
            return number + 1
    return nights.stop


def test_nights_of_killed_commands_give_equal_tables(tmp_path, capsys):
    began, killer = time.monotonic(), Killer()
    found, end = [], LAST
    for who in (killer, None):
        with new_lake(tmp_path / ("killed" if who else "undisturbed")) as lake:
            play(lake, range(TRAINED), chain=CHAIN[:2])
            trained = lake.work("train", "test_failure", day_of(TRAINED - 1))
            lake.run(promote, trained["model_version"])  # the gate wants more weeks of decisions
            end = play(lake, range(TRAINED, end), who)
            found.append({row["address"]: row for row in lake.contents(without=OWN)})
            served = lake.sql("select count(distinct model_version) as n from predictions.test_failure")
    assert killer.is_done, killer.left
    assert served == [{"n": 1}]
    differing = [address for address in found[0] if found[0][address] != found[1][address]]
    assert [address for address in differing if not address.startswith("raw.")] == []
    with capsys.disabled():
        seconds = round(time.monotonic() - began)
        print(
            f"\nreal commands killed: seed {SEED}, nights {end - TRAINED}, at points {killer.points}, "
            f"at random instants {killer.instants}, seconds {seconds}, "
            f"results {found[0]['core.test_results']['row_count']}"
        )
