"""What takes too long for every day: many stops, many orders; run by `make soak`.

``CILAKE_SOAK`` is the number of stops; without it these tests are skipped. ``CILAKE_SOAK_SEED`` repeats one.
"""

import os
import random
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from itertools import count, islice

import pytest
from tests.support.built_lake import (
    DAY,
    WAYS,
    KilledError,
    build_by,
    core_tables,
    kpi_tables,
    land,
    stop_points,
)
from tests.support.grids import DAY_MS, make_row, make_table
from tests.support.lake_session import local_lake
from tests.support.predicted_world import World

from cilake.build import core, inputs, rounds
from cilake.build.inputs import QUERIED_ROWS
from cilake.build.rounds import ROUND_BYTES
from cilake.build.tables import build_tables
from cilake.commands import measure, score, train
from cilake.contracts.predictions.test_failure import TABLE as LEDGER
from cilake.contracts.registry import made_by
from cilake.models.test_failure.spec import MODEL
from cilake.publish.stop_points import STEPS
from cilake.windows import Window

STOPS = int(os.environ.get("CILAKE_SOAK", "0"))
SEED = os.environ.get("CILAKE_SOAK_SEED") or str(time.time_ns())
ORDERS = max(2, STOPS // 10)
STOPS_OF_MODEL = max(2, STOPS // 4)
TRAINED = 50
MEASURED = made_by("measure_test_failure")

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(14_400),
    pytest.mark.skipif(not STOPS, reason="a soak: `make soak`"),
]


@pytest.fixture
def new_lake(spark, tmp_path_factory, monkeypatch):
    """Open another empty lake; the one that was opened last is the one that jobs work on."""
    with ExitStack() as stack:

        def opened():
            folder = tmp_path_factory.mktemp("soak") / "lake"
            models = {"artifacts": f"file://{folder}/models", "max_lost_ratio": 1.0}
            return stack.enter_context(local_lake(spark, folder, monkeypatch, **models))

        yield opened


@pytest.fixture
def report(capsys):
    """A line of the table that a soak prints."""

    def tell(name, **counts):
        with capsys.disabled():
            print(f"\n{name}: {', '.join(f'{word} {value}' for word, value in counts.items())}")

    return tell


def payloads(rng):
    """Payloads without end: a tab as it was with a cell changed, a newer column, or a start moved.

    Now and then there is a new test or a new job.

    Each is a table, the hour at which it was served, and its tab; two of the tabs show runs of one job.
    """
    rows_of = {tab: [[1, 12, 1], [12, 12, 1], [13, 1, 1]] for tab in "abc"}
    builds = dict.fromkeys("abc", 0)
    for number in count():
        tab = rng.choice("abc")
        rows = [list(row) for row in rows_of[tab]]
        if rng.random() < 0.4:
            rows = [[rng.choice((1, 1, 12, 13, 3, 4)), *row[:-1]] for row in rows]
            builds[tab] += 1
        else:
            rng.choice(rows)[rng.randrange(3)] = rng.choice((1, 12, 13, 4))
        rows_of[tab] = rows
        last = f"two {number}" if rng.random() < 0.2 else "two"
        job = "job-b" if tab == "b" else "job-a"
        table = make_table(
            dict(zip(("Overall", "one", last), rows, strict=True)),
            job=f"{job}-{number}" if rng.random() < 0.1 else job,
            first_build=1000 + builds[tab],
        )
        table["timestamps"] = [at + (builds[tab] - 40) * DAY_MS for at in table["timestamps"]]
        if rng.random() < 0.2:
            table["timestamps"][0] += rng.choice((-7, -1, 1)) * DAY_MS
        if rng.random() < 0.1:
            table["tests"].append(make_row("refused", [99, 99, 99]))
        yield table, number / 10, f"board/{tab}"


def points(rng, tables):
    """Steps of the publication of the tables without end: all of them in a new order again and again."""
    while True:
        every = [f"{step}:{table.address}" for step in STEPS for table in tables]
        yield from rng.sample(every, len(every))


def land_all(lake, landings):
    for table, hour, tab in landings:
        land(lake, table, hour=hour, tab=tab)


def build_all(lake, stops=None, stop="", *, passed=0):
    """Build what is landed; return whether the command was killed at the stop, passed so often before."""
    if stops is not None:
        stops[:] = [stop, *["once"] * passed] if stop else []
    try:
        core.build_core(lake.settings, Window(DAY, DAY + timedelta(days=1)))
        build_tables(lake.settings, Window(DAY, DAY + timedelta(days=1)), step="build_kpi_ci_health")
    except KilledError:
        return True
    return False


def all_tables(lake):
    return core_tables(lake) | kpi_tables(lake)


def test_builds_killed_at_random_points_and_repeated_give_equal_tables(new_lake, monkeypatch, report):
    rng = random.Random(SEED)
    lake = new_lake()
    stops = stop_points(monkeypatch)
    landings, stopped, began = [], Counter(), time.monotonic()
    point = points(rng, (*core.CORE, *made_by("build_kpi_ci_health")))
    endless, in_rounds = payloads(rng), 0
    while True:
        new = list(islice(endless, rng.randrange(1, 4)))
        landings += new
        land_all(lake, new)
        way, stop = rng.choice(WAYS), next(point)
        build_by(monkeypatch, way)
        # Spark alone builds a round for each tab; killed in the first, second or third that passes the point.
        is_in_rounds = way == "spark" and ":core." in stop and rng.random() < 0.5
        passed = rng.randrange(3) if is_in_rounds else 0
        monkeypatch.setattr(rounds, "ROUND_BYTES", 1 if is_in_rounds else ROUND_BYTES)
        monkeypatch.setattr(inputs, "QUERIED_ROWS", rng.choice((0, QUERIED_ROWS)))
        if build_all(lake, stops, stop, passed=passed):
            stopped[stop] += 1
            in_rounds += passed > 0
            if stopped.total() % 10 == 0:
                report("builds so far", payloads=len(landings), killed=stopped.total(), seconds=since(began))
        if stopped.total() >= STOPS:
            break
        assert len(landings) < 60 * STOPS
    build_all(lake, stops)
    found = all_tables(lake)
    monkeypatch.setattr(rounds, "ROUND_BYTES", ROUND_BYTES)
    monkeypatch.setattr(inputs, "QUERIED_ROWS", QUERIED_ROWS)
    build_by(monkeypatch, WAYS[0])
    undisturbed = new_lake()
    land_all(undisturbed, landings)
    build_all(undisturbed, stops)
    assert found == all_tables(undisturbed)
    report(
        "builds killed and repeated",
        seed=SEED,
        payloads=len(landings),
        killed=stopped.total(),
        later_rounds=in_rounds,
        points=len(+stopped),
        seconds=since(began),
    )


def test_any_order_of_landings_and_builds_gives_equal_tables(new_lake, report):
    began = time.monotonic()
    landings = list(islice(payloads(random.Random(SEED)), 12))
    found = []
    for order in range(ORDERS):
        rng = random.Random(f"{SEED} {order}")
        lake = new_lake()
        for landing in rng.sample(landings, len(landings)) if order else landings:
            land_all(lake, [landing])
            if order and rng.random() < 0.3:
                build_all(lake)
        build_all(lake)
        found.append(all_tables(lake))
        report("orders so far", orders=len(found), seconds=since(began))
    assert all(tables == found[0] for tables in found[1:])
    report("orders of landings and builds", seed=SEED, orders=ORDERS, seconds=since(began))


def test_nights_of_a_champion_killed_at_random_points_give_the_same_ledger(new_lake, monkeypatch, report):
    stops = stop_points(monkeypatch)
    began = time.monotonic()
    verbs = {score.score: (LEDGER,), measure.measure: MEASURED}
    nights, found, stopped = 0, [], Counter()
    for is_disturbed in (True, False):
        rng = random.Random(SEED)
        point = {verb: points(rng, tables) for verb, tables in verbs.items()}
        lake, world = new_lake(), World()
        world.name(lake)
        world.land(lake, range(TRAINED))
        stops.clear()
        assert train.train(lake.settings, world.night(TRAINED - 1), model=MODEL)["is_promoted"]
        for night in range(TRAINED - 1, TRAINED + 20 * STOPS_OF_MODEL):
            if night >= TRAINED:
                world.land(lake, range(night, night + 1))
            for verb in verbs:
                if is_disturbed:
                    stops[:] = [next(point[verb])]
                    try:
                        verb(lake.settings, world.night(night), model=MODEL)
                    except KilledError:
                        stopped[stops[0]] += 1
                    stops.clear()
                verb(lake.settings, world.night(night), model=MODEL)
            if is_disturbed and stopped.total() >= STOPS_OF_MODEL:
                nights = night
            if nights and night >= nights:
                break
        found.append(
            {table.address: lake.rows(table.address, *facts_of(table)) for table in (LEDGER, *MEASURED)}
        )
    assert found[0] == found[1]
    assert found[0][LEDGER.address] and stopped.total() >= STOPS_OF_MODEL
    report(
        "nights of a champion",
        seed=SEED,
        nights=nights - TRAINED + 2,
        killed=stopped.total(),
        points=len(+stopped),
        seconds=since(began),
    )


def facts_of(table):
    """The columns that say what a table holds, and not when or from which snapshots it was made."""
    own = ("scored_at", "measured_at", "feature_snapshot_id", "runs_snapshot_id", "model_version")
    return [name for name in table.column_names if name not in own]


def since(began):
    return round(time.monotonic() - began)
