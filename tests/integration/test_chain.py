"""Land, build, score, measure on the real stack: counts against the source, repeats, kills, a backfill.

The tests go through one story in the order they are written: each night finds what the ones before left.
"""

import csv
import gzip
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import orjson
import pytest
from tests.grids import make_row, make_table
from tests.simulator.conftest import serving

from cilake.contracts.columns import TEST_STATUSES
from cilake.contracts.registry import tables
from ciworld.clock import milliseconds
from ciworld.recorded import RecordedWorld

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

FIRST = datetime(2021, 6, 1, 1, tzinfo=UTC)
COLUMNS, TESTS = 54, 30
NIGHTS = [date(2021, 6, 6), date(2021, 6, 7)]
LATER = [date(2021, 6, 8), date(2021, 6, 9)]
CHAIN = (
    ("land", "testgrid"),
    ("build", "core"),
    ("build", "kpi"),
    ("score", "test_failure"),
    ("measure", "test_failure"),
)
LEDGER = ("raw", "core", "kpi", "predictions")


def job_table(job, seed):
    """A table of six runs a day; every third test is flaky, one breaks on the fifth day."""
    dice = random.Random(seed)
    started = [FIRST + timedelta(hours=4 * i) for i in reversed(range(COLUMNS))]
    rows = {"Overall": [1] * COLUMNS}
    for number in range(TESTS):
        chance = 0.15 if number % 3 == 0 else 0.02
        codes = [12 if dice.random() < chance else 1 for _ in started]
        if number == 1:
            codes = [12 if at > FIRST + timedelta(days=4) else 1 for at in started]
        if number == 2:
            codes = [0 if i % 2 else 13 for i in range(COLUMNS)]
        rows[f"[sig-{number}] test of {job if number == 5 else 'everything'}"] = codes
    table = make_table(
        rows,
        job=job,
        timestamps=[milliseconds(at) for at in started],
        column_ids=[str(i) for i in range(COLUMNS)],
        groups=[""] * COLUMNS,
    )
    table["tests"] = [
        make_row(name, codes) | {"short_texts": [""] * sum(map(bool, codes)), "alert": None, "target": name}
        for name, codes in rows.items()
    ]
    return table


JOBS = {"e2e-aws-4.8": job_table("e2e-aws-4.8", 1), "e2e-gcp-4.8": job_table("e2e-gcp-4.8", 2)}
BOARDS = {"release-blocking": ["e2e-aws-4.8"], "release-informing": ["e2e-gcp-4.8", "e2e-aws-4.8"]}


def results_until(instant):
    """The cells of every job that started before the instant, counted by status: one run is one run."""
    found = Counter()
    for table in JOBS.values():
        for row in table["tests"]:
            codes = [code["value"] for code in row["statuses"] for _ in range(code["count"])]
            for code, at in zip(codes, table["timestamps"], strict=True):
                if code and at <= milliseconds(instant):
                    found[TEST_STATUSES[code]] += 1
    return dict(found)


@pytest.fixture(scope="module")
def lake(stack, tmp_path_factory):
    """The work on the stack against a simulator that replays two jobs in two dashboards."""
    root = tmp_path_factory.mktemp("recorded")
    for board, jobs in BOARDS.items():
        (root / board).mkdir()
        summary = {job: {"last_update_timestamp": 4_000_000_000, "overall_status": "FLAKY"} for job in jobs}
        (root / board / "summary.json.gz").write_bytes(gzip.compress(orjson.dumps(summary)))
        for job in jobs:
            (root / board / f"{job}.json.gz").write_bytes(gzip.compress(orjson.dumps(JOBS[job])))
    with serving(RecordedWorld(root), end_of(NIGHTS[0])) as client:
        yield Lake(stack, client)


def end_of(day):
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


class Lake:
    def __init__(self, stack, client):
        self.stack = stack
        self.client = client
        self.environment = {**os.environ, **stack.settings, "CILAKE_TESTGRID_URL": str(client.base_url)}

    def start(self, verb, address, day, end=None):
        """The running command ``cilake verb address`` for a day, or for all days before ``end``."""
        words = [verb, address, "--start", day.isoformat(), *(["--end", end.isoformat()] if end else [])]
        return subprocess.Popen(
            [sys.executable, "-m", "cilake.cli", *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def work(self, verb, address, day, end=None):
        """What the command counted."""
        out, err = self.start(verb, address, day, end).communicate(timeout=300)
        assert out, err
        return json.loads(out)

    def set_clock(self, day):
        answer = self.client.post("/_ciworld/clock", json={"as_of": end_of(day).isoformat()})
        assert answer.status_code == 200, answer.text

    def play(self, day):
        """One night: the counts of all verbs together."""
        self.set_clock(day)
        counts = {}
        for verb, address in CHAIN:
            counts |= self.work(verb, address, day)
        return counts

    def sql(self, query):
        done = self.stack("sql", Q=query)
        assert done.returncode == 0, done.stderr
        return list(csv.DictReader(done.stdout.splitlines()))

    def contents(self):
        """Rows and an order-free checksum of every table that nights fill, through Trino."""
        names = [t for t in tables().values() if t.namespace in LEDGER]
        selects = [
            f"select '{t.address}' as address, count(*) as row_count, "
            f"checksum(row({', '.join(t.column_names)})) as digest from {t.address}"
            for t in names
        ]
        return self.sql(" union all ".join(selects) + " order by 1")

    def statuses(self):
        rows = self.sql("select test_status, count(*) as n from core.test_results group by 1")
        return {row["test_status"]: int(row["n"]) for row in rows}


@pytest.fixture(scope="module")
def played(lake):
    """The lake after two nights, with what each counted."""
    return lake, [lake.play(day) for day in NIGHTS]


def test_every_result_is_there_once(played):
    lake, nights = played
    assert lake.statuses() == results_until(end_of(NIGHTS[-1]))
    assert nights[0]["landed"] == 2 + 3, "two summaries and three tabs"
    assert sum(night["core.test_results"] for night in nights) == sum(lake.statuses().values())
    runs = lake.sql("select count(*) as n, count(distinct build_id) as builds from core.ci_runs")[0]
    assert int(runs["n"]) == 2 * int(runs["builds"])


def test_predictions_are_measured_by_the_next_night(played):
    lake, nights = played
    assert nights[0]["predictions.test_failure"] == 2 * (TESTS + 1)
    assert nights[0]["predictions.outcomes"] == 0
    assert nights[1]["predictions.outcomes"] == 2 * (TESTS + 1)
    broken = lake.sql(
        "select failure_probability, shrunken_probability, test_name from predictions.test_failure p "
        "join core.tests using (test_key) where prediction_date = date '2021-06-07' order by 1 desc limit 2"
    )
    assert {row["test_name"] for row in broken} == {"[sig-1] test of everything"}
    scorers = lake.sql("select distinct scorer from predictions.accuracy order by 1")
    assert [row["scorer"] for row in scorers] == ["base_rate", "last_value", "model", "shrunken_history"]


def test_the_same_nights_again_change_nothing(played):
    lake, _ = played
    before = lake.contents()
    snapshots = 'select count(*) as n from core."test_results$snapshots"'
    snapshot_count = lake.sql(snapshots)
    lake.set_clock(NIGHTS[0])
    assert lake.work("land", "testgrid", NIGHTS[0])["landed"] == 0
    assert lake.work("build", "core", NIGHTS[0])["core.test_results"] == 0
    again = lake.play(NIGHTS[1])
    filled = {"core.test_results", "kpi.daily_job_health", "predictions.test_failure", "predictions.outcomes"}
    assert {name: again[name] for name in filled} == dict.fromkeys(filled, 0)
    assert lake.contents() == before
    assert lake.sql(snapshots) == snapshot_count


def test_a_killed_build_leaves_the_tables_and_then_builds_the_same(played):
    lake, _ = played
    before = lake.contents()
    lake.set_clock(LATER[0])
    lake.work("land", "testgrid", LATER[0])
    for line in ("wrote core.test_results", "core.ci_runs: validation"):
        build = lake.start("build", "core", LATER[0])
        seen = next((text for text in build.stderr if line in text), None)
        build.send_signal(signal.SIGKILL)
        build.communicate()
        assert seen, "the build ended before it said so"
        after = [row for row in lake.contents() if not row["address"].startswith("raw")]
        kept = [row for row in before if not row["address"].startswith("raw")]
        if line.startswith("wrote"):
            assert after == kept, "nothing is published before everything is audited"
    lake.work("build", "core", LATER[0])
    assert lake.statuses() == results_until(end_of(LATER[0]))


def test_a_backfill_of_a_range_gives_each_key_once(played):
    lake, _ = played
    lake.set_clock(LATER[1])
    end = LATER[1] + timedelta(days=1)
    for verb, address in CHAIN:
        lake.work(verb, address, LATER[0], end)
    assert lake.statuses() == results_until(end_of(LATER[1]))
    for table in (t for t in tables().values() if t.namespace in LEDGER):
        keys = ", ".join(table.primary_key)
        doubled = lake.sql(
            f"select {keys}, count(*) as n from {table.address} group by {keys} having count(*) > 1"
        )
        assert doubled == [], table.address
    days = lake.sql("select distinct prediction_date from predictions.test_failure order by 1")
    assert [row["prediction_date"] for row in days] == [day.isoformat() for day in NIGHTS + LATER]
