"""A small recorded world, and the jobs on a stack against it, a night at a time."""

import gzip
import json
import os
import random
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context

import orjson
from deploy.local.services.trino_client import ask
from tests.support.grids import make_table

from cilake import cli
from cilake.contracts.registry import tables
from cilake.lake.catalog import open_catalog
from cilake.lake.model_store import ADDRESS, PROMOTED
from cilake.lake.records import append_rows
from cilake.settings import read_settings
from cilake.sources.testgrid.codes import STATUSES
from ciworld.clock import milliseconds
from ciworld.recorded.testgrid.folder import RecordedDashboards

FIRST = datetime(2021, 6, 1, 1, tzinfo=UTC)
COLUMNS, TESTS = 54, 30
NIGHTS = [date(2021, 6, 6), date(2021, 6, 7)]
LATER = [date(2021, 6, 8), date(2021, 6, 9)]
CHAIN = (
    ("land", "testgrid"),
    ("build", "core_ci"),
    ("build", "kpi_ci_health"),
    ("score", "test_failure"),
    ("measure", "test_failure"),
    ("build", "kpi_predictions"),
)
LEDGER = ("raw", "core", "kpi", "predictions")
LATE = datetime(2021, 6, 6, 21, tzinfo=UTC)
"""When the run started that TestGrid shows a day late: the last of the first night, of one job."""


def job_table(job, seed, hidden=None):
    """A table of six runs a day but a hidden one: every third test flakes, one breaks, two fail together."""
    rng = random.Random(seed)
    started = [FIRST + timedelta(hours=4 * i) for i in reversed(range(COLUMNS))]
    rows = {"Overall": [1] * COLUMNS}
    for number in range(TESTS):
        chance = 0.15 if number % 3 == 0 else 0.02
        codes = [12 if rng.random() < chance else 1 for _ in started]
        if number == 1:
            codes = [12 if at > FIRST + timedelta(days=4) else 1 for at in started]
        if number == 2:
            codes = [0 if i % 2 else 13 for i in range(COLUMNS)]
        if number == 4:
            codes = rows["[sig-3] test of everything"]
        rows[f"[sig-{number}] test of {job if number == 5 else 'everything'}"] = codes
    shown = [i for i, at in enumerate(started) if at != hidden]
    rows = {name: [codes[i] for i in shown] for name, codes in rows.items()}
    table = make_table(
        rows,
        job=job,
        changelists=[str(1000 + COLUMNS - i) for i in shown],
        timestamps=[milliseconds(started[i]) for i in shown],
        column_ids=[str(i) for i in shown],
        groups=[""] * len(shown),
    )
    return as_recorded(table)


def as_recorded(table):
    """The table, its rows as the simulator cuts them."""
    for row in table["tests"]:
        row |= {"short_texts": [""] * len(row["messages"]), "alert": None, "target": row["name"]}
    return table


JOBS = {"e2e-aws-4.8": job_table("e2e-aws-4.8", 1), "e2e-gcp-4.8": job_table("e2e-gcp-4.8", 2)}
EARLIER = JOBS | {"e2e-gcp-4.8": job_table("e2e-gcp-4.8", 2, hidden=LATE)}
BOARDS = {"release-blocking": ["e2e-aws-4.8"], "release-informing": ["e2e-gcp-4.8", "e2e-aws-4.8"]}


def results_until(instant):
    """The cells of every job that started before the instant, counted by status: one run is one run."""
    found = Counter()
    for table in JOBS.values():
        for row in table["tests"]:
            codes = [code["value"] for code in row["statuses"] for _ in range(code["count"])]
            for code, at in zip(codes, table["timestamps"], strict=True):
                if code and at <= milliseconds(instant):
                    found[STATUSES[code]] += 1
    return dict(found)


def end_of(day):
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


FORKS = get_context("forkserver")
"""Processes of the commands that have imported what it needs: that takes 8 s each otherwise."""
FORKS.set_forkserver_preload(
    ["cilake.cli", "cilake.commands", "great_expectations", "sklearn.ensemble", "skops.io"]
)


def run_alone(function, arguments, environment, out, err):
    """The function as a process has it: its own variables and files; what it returns is the exit code."""
    os.environ.clear()
    os.environ.update(environment)
    for path, number in ((out, 1), (err, 2)):
        with path.open("w") as file:
            os.dup2(file.fileno(), number)
    sys.exit(function(*arguments))


def promote(version):
    """Record a version as promoted."""
    catalog = open_catalog(read_settings())
    (row,) = catalog.load_table(ADDRESS).scan(f"model_version = {version!r}").to_arrow().to_pylist()
    append_rows(catalog, ADDRESS, [row | {"status": PROMOTED, "is_promoted": True}])
    print("{}")


class Lake:
    def __init__(self, stack, client, folder):
        self.stack = stack
        self.client = client
        self.folder = folder
        self.environment = {**os.environ, **stack.settings, "CILAKE_TESTGRID_URL": str(client.base_url)}

    def start(self, verb, address, day, **variables):
        """The running command ``cilake verb address`` for a day."""
        return subprocess.Popen(
            [sys.executable, "-m", "cilake.cli", verb, address, "--start", day.isoformat()],
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def work(self, verb, address, day, end=None):
        """What the command counted, for a day or for all days before ``end``."""
        args = [verb, address, "--start", day.isoformat(), *(["--end", end.isoformat()] if end else [])]
        return self.run(cli.main, args)

    def run(self, function, *arguments):
        """What the function prints, as JSON, in a process with the settings of the stack."""
        code = self.end(function, *arguments)
        assert code == 0, (arguments, code, (self.folder / "err").read_text())
        return json.loads((self.folder / "out").read_text())

    def end(self, function, *arguments, seconds=300, **variables):
        """The exit code of the function in such a process, which is killed after so many seconds."""
        files = self.folder / "out", self.folder / "err"
        process = FORKS.Process(
            target=run_alone, args=(function, arguments, self.environment | variables, *files)
        )
        process.start()
        try:
            process.join(seconds)
        finally:
            process.kill()
            process.join()
        return process.exitcode

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

    def sql(self, query, user="operator"):
        """Rows by column name; an operator sees payloads, too."""
        columns, rows = ask(self.stack.settings["CILAKE_TRINO_URL"], query, user=user)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def contents(self, without=()):
        """Rows and an order-free checksum of every table that nights fill, through Trino."""
        names = [t for t in tables().values() if t.namespace in LEDGER]
        selects = [
            f"select '{t.address}' as address, count(*) as row_count, "
            f"checksum(row({', '.join(name for name in t.column_names if name not in without)})) as digest "
            f"from {t.address}"
            for t in names
        ]
        return self.sql(" union all ".join(selects) + " order by 1")

    def statuses(self):
        rows = self.sql("select test_status, count(*) as n from core.test_results group by 1")
        return {row["test_status"]: row["n"] for row in rows}


class LateDashboards:
    """The two jobs in two dashboards; one run appears a day after it started."""

    def __init__(self, root):
        self.worlds = [RecordedDashboards(_record(root / name, jobs)) for name, jobs in WORLDS.items()]

    def dashboards(self):
        return self.worlds[0].dashboards()

    def summary(self, dashboard, as_of):
        return self._at(as_of).summary(dashboard, as_of)

    def table(self, dashboard, tab, as_of, address):
        return self._at(as_of).table(dashboard, tab, as_of)

    def _at(self, as_of):
        return self.worlds[as_of > LATE + timedelta(days=1)]


WORLDS = {"earlier": EARLIER, "later": JOBS}


def _record(root, tables_of_jobs):
    """The folder, with each dashboard's summary and tables."""
    for board, jobs in BOARDS.items():
        (root / board).mkdir(parents=True)
        summary = {job: {"last_update_timestamp": 4_000_000_000, "overall_status": "FLAKY"} for job in jobs}
        (root / board / "summary.json.gz").write_bytes(gzip.compress(orjson.dumps(summary)))
        for job in jobs:
            (root / board / f"{job}.json.gz").write_bytes(gzip.compress(orjson.dumps(tables_of_jobs[job])))
    return root
