"""SIGTERM interrupts what a command has under way on the server; what waits to be published never is."""

import signal
import subprocess
import sys
from threading import Timer

import pytest

TIMEOUT_SECONDS = 120
PROGRAM = '''
import faulthandler
import os
import sys
from threading import Event
from types import SimpleNamespace

from cilake import cli
from cilake.build import tables, take_back
from cilake.commands import rebuild, recorded
from cilake.publish import replace
from cilake.contracts.kpi.daily_job_health import TABLE as FIRST
from cilake.contracts.kpi.weekly_test_health import TABLE as SECOND
from cilake.lake import session


faulthandler.dump_traceback_later(100)  # so that a test that takes too long shows where


def report(text):
    os.write(1, (text + chr(10)).encode())  # whole, whichever thread calls it


class Spark:
    """A session whose statements go on until they are interrupted, or past it."""

    conf = SimpleNamespace(set=lambda *_: None)
    interrupted = Event()

    def interruptAll(self):
        report("interrupted")
        self.interrupted.set()

    def stop(self):
        report("stopped")

    def run(self, address):
        report(f"running {address}")
        self.interrupted.wait()
        if address == FIRST.address:
            raise RuntimeError("the operation was cancelled")

    def table(self, name):
        return self

    where = persist = unpersist = coalesce = sortWithinPartitions = lambda self, *_: self


class Branch:
    name, base, sealed = "audit_it", 1, 2

    def __init__(self, spark, catalog, table, run_id):
        self.spark, self.table = spark, table

    def delete(self, condition):
        self.spark.run(self.table.address)

    def append(self, rows):
        pass

    def seal(self):
        return self

    def publish(self, properties):
        report(f"published {self.table.address}")

    def drop(self):
        report(f"dropped {self.table.address}")


def make(maker, work):
    return [(maker.spark, [1]) for _ in work]


def affected(catalog, pins, targets):
    return {target.table: [1] if target.table in (FIRST, SECOND) else [] for target in targets}


def record(spark, catalog):
    report("recorded")
    return {}


def read(catalog):
    spark.run("ops.restatements")


spark = Spark()
numbers = iter(range(100))
session._classic_session = lambda *_: spark
replace.conform = lambda rows, table: rows
replace.in_spark = lambda spark, rows, table: rows
replace._find_change_here = lambda *_: None  # these are many
replace._fingerprints = lambda *_: {1: (next(numbers), 0)}
replace._scope = lambda *_: "true"
replace.preload_great_expectations = lambda: None
replace.open_branch = Branch
tables.auditor = lambda *_, **__: lambda branch: None
tables._Maker.make = make
tables._find_affected = affected
tables.set_properties = tables.create_missing = lambda *_: None
tables._marks = lambda *_: {}
tables.log_if_incomplete = lambda *_: None
tables.pin = lambda *_: None
tables.open_catalog = rebuild.open_catalog = recorded.open_catalog = lambda settings: None
rebuild.record_restatements = record
rebuild.finish_rebuild = rebuild.newest_date = lambda *_: None
take_back.read_restatements = read
recorded._append = lambda *_: None
sys.exit(cli.main(sys.argv[1:]))
'''
REASON = ("--start", "2021-06-25", "--reason", "a test")
TWO = {"running kpi.daily_job_health", "running kpi.weekly_test_health"}


@pytest.mark.parametrize(
    ("command", "running"),
    [
        (("build", "kpi_ci_health", "--start", "2021-06-25"), TWO),
        (("rebuild", "kpi.daily_job_health", "kpi.weekly_test_health", *REASON), TWO),
        (("rollback", "core_1"), {"running ops.restatements"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_command_that_is_told_to_end_interrupts_its_work_and_publishes_nothing(command, running):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    overdue = Timer(TIMEOUT_SECONDS, process.kill)
    overdue.start()
    try:
        awaited, before = set(running), []
        for line in process.stdout:
            before.append(line.rstrip())
            awaited.discard(line.strip())
            if not awaited:
                process.send_signal(signal.SIGTERM)
                break
        lines = process.stdout.read().splitlines()
        process.wait()
    finally:
        overdue.cancel()
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM, [*before, *lines]
    assert "interrupted" in lines and "stopped" in lines
    assert not [line for line in lines if line.startswith(("published", "recorded"))], "it ends at once"
