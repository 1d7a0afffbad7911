"""What a night costs in a large lake: time and memory next to those of a small one.

``python benchmarks/growth.py --scale N`` plays the same night in two separate lakes: in a synthetic world
of two releases (24 jobs, 30 days, 1.7 million results) and in one with N times 13 million results, as many as
the recorded folder of ``make bench`` has. Before that it puts three million published runs of other jobs into
the small lake and plays the next small night. Each figure is a JSON line with the small lake's as baseline:
work in proportion has the ratio of the jobs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from tests.support.temporary_stack import TemporaryStack, temporary_stack  # noqa: E402 - the repository is no package

NIGHT = date(2026, 2, 18)
SMALL_RELEASES = 2
RELEASES_PER_SCALE = 15
PUBLISHED_RUNS = 3_000_000
STEPS = {
    "landing": "land testgrid",
    "core_build": "build core_ci",
    "kpi_build": "build kpi_ci_health",
    "training": "train test_failure",
    "scoring": "score test_failure",
    "measuring": "measure test_failure",
}
SMALL_STEPS = ("landing", "core_build", "kpi_build", "scoring", "measuring")
MIB = 1024**2


@dataclass(frozen=True)
class Cost:
    """What one job cost: seconds, the most memory of its process and of the services, in MiB."""

    seconds: float
    job_mib: float
    services_mib: float
    result: dict[str, Any]


def log_progress(message: str) -> None:
    """Print one progress line on stderr."""
    print(f"growth: {message}", file=sys.stderr, flush=True)


def report(figure: str, cost: Cost, baseline: Cost | None = None, **more: object) -> None:
    """Print the figures of one job, next to those of the small lake."""
    line: dict[str, object] = {"figure": figure}
    for name in ("seconds", "job_mib", "services_mib"):
        line[name] = round(getattr(cost, name), 1)
        if baseline:
            line[f"{name}_ratio"] = round(getattr(cost, name) / getattr(baseline, name), 2)
    print(json.dumps(line | more | {"result": cost.result}), flush=True)


@contextlib.contextmanager
def world(releases: int, night: date) -> Iterator[str]:
    """Serve a synthetic world, the clock at the end of a night; yield its address."""
    args = ["ciworld", "serve", "--synthetic", "--seed", "7", "--releases", str(releases)]
    process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        set_clock(url, night)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def set_clock(url: str, night: date) -> None:
    """Set the world's clock to half an hour after the night."""
    body = json.dumps({"as_of": f"{night + timedelta(days=1)}T00:30:00Z"}).encode()
    urllib.request.urlopen(f"{url}/_ciworld/clock", data=body, timeout=30).close()  # noqa: S310 - our own


@contextlib.contextmanager
def watched_memory(stack: TemporaryStack) -> Iterator[list[float]]:
    """Yield a list that ends with one number: the most memory that the services had meanwhile, in MiB."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(1):
            peak[0] = max(peak[0], stack.memory_bytes() / MIB)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
        peak[0] = max(peak[0], stack.memory_bytes() / MIB)


def run(stack: TemporaryStack, url: str, job: str, night: date) -> Cost:
    """Run one job of a night in a separate process; return what it cost.

    Raises:
        RuntimeError: with the end of its log when it fails.

    """
    args = ["cilake", *job.split(), "--start", str(night)]
    own = {"CILAKE_TESTGRID_URL": url, "CILAKE_TESTGRID_DASHBOARDS": "ciworld-*"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as log:
        began = time.perf_counter()
        with watched_memory(stack) as peak:
            environment = os.environ | dict(stack.settings) | own
            process = subprocess.Popen(args, stdout=out, stderr=log, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        out.seek(0)
        log.seek(0)
        if process.returncode:
            raise RuntimeError(f"{job} ended with {process.returncode}: {log.read()[-3000:]}")
        lines = out.read().strip().splitlines()
        result = json.loads(lines[-1]) if lines else {}
    return Cost(seconds, usage.ru_maxrss / 1024, peak[0], result)


def play(stack: TemporaryStack, url: str, night: date, steps: tuple[str, ...]) -> dict[str, Cost]:
    """Run the steps of a night, the clock of the world set to it; return what each cost."""
    set_clock(url, night)
    costs = {}
    for step in steps:
        costs[step] = run(stack, url, STEPS[step], night)
        log_progress(f"{night} {step}: {costs[step].seconds:.0f} s")
    return costs


def add_published_runs(stack: TemporaryStack, count: int) -> None:
    """Put runs with one result each of 1,000 other jobs into the core tables, a year and more before."""
    from pyspark.sql import functions as F

    from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
    from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
    from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
    from cilake.lake.schema import conform
    from cilake.lake.session import spark_session
    from cilake.settings import read_settings

    with patch.dict(os.environ, stack.settings), spark_session(read_settings(), app_name="old runs") as spark:
        number = F.col("id")
        started = F.timestamp_seconds(F.lit(1_735_689_600) + number * 10)
        given = {
            "run_key": F.xxhash64(F.lit("old"), number),
            "job_key": F.pmod(number, F.lit(1000)),
            "build_id": number.cast("string"),
            "natural_id": F.concat(F.lit("old/"), F.pmod(number, F.lit(1000))),
            "source": F.lit("testgrid"),
            "run_date": F.to_date(started),
            "result": F.lit("passed"),
            "run_url": F.lit(None).cast("string"),
            "content_hash": F.md5(number.cast("string")),
            "test_key": F.lit(1),
            "test_status": F.lit("passed"),
            "message": F.lit(None).cast("string"),
            "test_keys": F.array(F.lit(1)),
            "test_statuses": F.array(F.lit("passed")),
            "messages": F.array(F.lit(None).cast("string")),
        }
        given |= dict.fromkeys(("started_at", "known_at", "seen_at"), started)
        given |= {"landed_date": given["run_date"]}
        given |= dict.fromkeys(("result_count", "test_count", "passed_count", "decoder_version"), F.lit(1))
        given |= dict.fromkeys(("failed_count", "flaky_count", "running_count"), F.lit(0))
        for table in (OBSERVATIONS, TEST_RESULTS, CI_RUNS):
            columns = [given[name].alias(name) for name in table.column_names]
            rows = spark.range(count).select(*columns)
            conform(rows, table).writeTo(table.identifier).append()


def measure(scale: int, home: Path) -> None:
    """Print what the nights of the small and of the large lake cost."""
    steps = tuple(STEPS)
    nights = [NIGHT + timedelta(days=days) for days in (1, 2, 3)]
    with temporary_stack(home / "small", "spark") as stack, world(SMALL_RELEASES, NIGHT) as url:
        small = play(stack, url, NIGHT, steps)
        for step in steps:
            report(step, small[step], releases=SMALL_RELEASES)
        ordinary = play(stack, url, nights[0], SMALL_STEPS)
        log_progress(f"adding {PUBLISHED_RUNS:,} published runs")
        add_published_runs(stack, PUBLISHED_RUNS)
        takes_them_up = play(stack, url, nights[1], SMALL_STEPS)
        for step in SMALL_STEPS:
            report(f"first_night_{step}", takes_them_up[step], ordinary[step], new_runs=PUBLISHED_RUNS)
        crowded = play(stack, url, nights[2], SMALL_STEPS)
        for step in SMALL_STEPS:
            report(f"small_night_{step}", crowded[step], ordinary[step], published_runs=PUBLISHED_RUNS)
    releases = RELEASES_PER_SCALE * scale
    with temporary_stack(home / "large", "spark") as stack, world(releases, NIGHT) as url:
        for step in steps:
            cost = play(stack, url, NIGHT, (step,))[step]
            report(step, cost, small[step], releases=releases, jobs_ratio=releases / SMALL_RELEASES)


def main(arguments: list[str] | None = None) -> int:
    """Measure one scale; return the exit code."""
    parser = argparse.ArgumentParser(description="Measure what a night of a larger lake costs.")
    parser.add_argument(
        "--scale", type=int, default=10, metavar="N", help="how many times 13 million results"
    )
    given = parser.parse_args(arguments)
    if given.scale < 1:
        parser.error("--scale begins at 1")
    with tempfile.TemporaryDirectory(prefix="cilake_growth_") as home:
        measure(given.scale, Path(home))
    return 0


if __name__ == "__main__":
    sys.exit(main())
