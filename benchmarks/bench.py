"""How fast the platform is on a folder of recorded TestGrid replies, each figure next to its baseline.

``python benchmarks/bench.py [--dir DIR]`` starts a separate stack on free ports, lands the folder, builds,
repeats with nothing new, trains, scores and queries Trino, and prints one JSON line per figure. A baseline is
measured in the same run on the same data, so the ratios hold on a noisy machine too.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from benchmarks.quality import DEFAULT_DIR, decode  # noqa: E402 - the repository is no package
from tests.support.temporary_stack import TemporaryStack, temporary_stack  # noqa: E402

FLOOR = REPO / "benchmarks" / "floor.py"
FLOOR_RUNS = 3
SCORED_ENTITIES = 200_000
RECORDED_RESULTS = 12_924_167
"""Results in the default folder, however fast they are built."""
QUERY_REPEATS = 5
ROUNDS = {"cold": None, "warm": 6, "long_warm": 4.5}
"""Rounds of landing and building, each with its goal: at most so many times the floor."""
KPI_TARGET_SECONDS = 0.6
KPI_QUERIES = {
    "query_pass_ratio_by_platform": """
        select platform, sum(passed_count) passed, sum(failed_count) failed,
          cast(sum(passed_count) as double) / nullif(sum(passed_count + failed_count + flaky_count), 0) ratio
        from kpi.daily_job_health group by 1 order by 4""",
    "query_flakiest_tests": """
        select test_name, sum(flaky_count) flaky, sum(result_count) results
        from kpi.weekly_test_health group by 1 order by 2 desc limit 20""",
    "query_likeliest_failures": """
        select job_name, test_name, failure_probability, top_reasons
        from kpi.likely_failures order by 3 desc limit 20""",
}
FACT_QUERIES = {
    "query_all_results_by_day": """
        select run_date, count_if(test_status = 'failed') failed, count(*) results
        from core.test_results group by 1 order by 1""",
}


def log_progress(message: str) -> None:
    """Print one progress line on stderr."""
    print(f"bench: {message}", file=sys.stderr, flush=True)


def report(figure: str, value: float, unit: str, **more: Any) -> None:
    """Print one figure as a JSON line; a baseline given as ``baseline`` brings its ratio."""
    more = {key: round(one, 3) if isinstance(one, float) else one for key, one in more.items()}
    line: dict[str, Any] = {"figure": figure, "value": round(value, 3), "unit": unit}
    if baseline := more.pop("baseline", None):
        line |= {"baseline": baseline, "ratio": round(value / baseline, 2)}
    print(json.dumps(line | more), flush=True)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that the call took and what it returned."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def measure_floor(folder: Path) -> dict[str, Any]:
    """Return the figures of the bare conversion, the best of ``FLOOR_RUNS``."""
    command = [sys.executable, str(FLOOR), str(folder), "--json"]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(FLOOR_RUNS)
    ]
    best: dict[str, Any] = min(runs, key=lambda run: run["wall_seconds"])
    return best


@contextlib.contextmanager
def world(folder: Path, day: date) -> Iterator[str]:
    """Yield the address of a simulator that replays the folder at noon after a day, each table read once."""
    noon = datetime.combine(day + timedelta(days=1), clock(12), tzinfo=UTC)
    process = subprocess.Popen(
        ["ciworld", "serve", "--recorded", str(folder), "--as-of", noon.isoformat()],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        log_progress("letting the simulator read every table once")
        for path in folder.rglob("*.json.gz"):
            if path.name != "summary.json.gz":
                tab = path.name.removesuffix(".json.gz")
                httpx.get(
                    f"{url}/{path.parent.name}/table", params={"tab": tab}, timeout=60
                ).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait(30)


def measure(stack: TemporaryStack, folder: Path, day: date, floor_figures: dict[str, Any]) -> None:
    """Print what the platform takes to land, build and score one folder as of a day."""
    from cilake.build.core import build_core
    from cilake.build.tables import build_tables
    from cilake.commands import measure, score, train
    from cilake.commands.land import land
    from cilake.lake.catalog import create_tables, open_catalog
    from cilake.lake.session import spark_session
    from cilake.models.registry import model
    from cilake.settings import read_settings
    from cilake.sources.registry import source
    from cilake.windows import Window

    land_testgrid = partial(land, source=source("testgrid"))
    build_kpi = partial(build_tables, step="build_kpi_ci_health")
    window = Window(day, day + timedelta(days=1))
    os.environ.update(stack.settings)
    with world(folder, day) as url:
        os.environ["CILAKE_TESTGRID_URL"] = url
        settings = read_settings()

        def session() -> None:
            with spark_session(settings, app_name="bench") as spark:
                spark.range(1).collect()

        import_seconds, _ = timed(lambda: importlib.import_module("great_expectations"))
        first_session, _ = timed(session)
        session_seconds, _ = timed(session)
        report("session_start", session_seconds, "s", first=first_session, import_seconds=import_seconds)

        # The first round meets a server that has just started and compiles as it goes; a server that has
        # run a night before is what the second round meets, and the third one that has run several.
        for name, goal in ROUNDS.items():
            drop_tables(open_catalog(settings))
            create_tables(open_catalog(settings))
            landing, landed = timed(lambda: land_testgrid(settings, window))
            core, built = timed(lambda: build_core(settings, window))
            if folder == DEFAULT_DIR and built["core.test_results"] != RECORDED_RESULTS:
                raise RuntimeError(f"{RECORDED_RESULTS:,} results are recorded; built: {built}")
            core -= session_seconds
            both = landing + core
            report(f"landing_{name}", landing, "s", payloads=landed["landed"], bytes=landed["bytes"])
            report(f"core_build_{name}", core, "s", results=built["core.test_results"])
            report(
                f"landing_and_core_build_{name}",
                both,
                "s",
                baseline=floor_figures["wall_seconds"],
                target_ratio=goal,
                results_per_second=round(built["core.test_results"] / both),
                floor_results=floor_figures["non_empty_cells"],
            )
        report_validation(settings, day, core)
        kpi, _ = timed(lambda: build_kpi(settings, window))
        report("kpi_build", kpi - session_seconds, "s", target_seconds=12)

        # A night that finds nothing, and the same day once more, which makes its KPIs again to compare them.
        next_window = Window(window.end, window.end + timedelta(days=1))

        def play(span: Window) -> list[Any]:
            jobs = (land_testgrid, build_core, build_kpi)
            return [job(settings, span) for job in jobs]

        for name, span in (("nothing_new", next_window), ("same_day_again", window)):
            again, counts = timed(partial(play, span))
            target = {"target_seconds": 8} if name == "nothing_new" else {}
            report(name, again, "s", baseline=landing + core + kpi, counts=counts, **target)
    training, outcome = timed(lambda: train.train(settings, window, model=model("test_failure")))
    if outcome["model_version"] is None:
        raise RuntimeError(f"nothing was trained on {folder}: {outcome['reason']}")
    report("training", training, "s", rows=outcome["trained_rows"], promoted=outcome["is_promoted"])
    scoring, counts = timed(lambda: score.score(settings, window, model=model("test_failure")))
    entities = counts["predictions.test_failure"]
    report("nightly_scoring", scoring - session_seconds, "s", entities=entities)
    measuring, _ = timed(lambda: measure.measure(settings, window, model=model("test_failure")))
    report("measuring", measuring - session_seconds, "s")
    for name, query in KPI_QUERIES.items():
        report_query(settings.trino_url, name, query, target_seconds=KPI_TARGET_SECONDS)
    for name, query in FACT_QUERIES.items():
        report_query(settings.trino_url, name, query)
    report("peak_memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB", of="job process")


def drop_tables(catalog: Catalog) -> None:
    """Drop all tables of the catalog."""
    for namespace in catalog.list_namespaces():
        for identifier in catalog.list_tables(namespace):
            catalog.drop_table(identifier)


def report_validation(settings: Any, day: date, build_seconds: float) -> None:
    """Print what checking all rows of the core tables costs, next to the build that checks them once."""
    from cilake.contracts.registry import table
    from cilake.lake.session import spark_session
    from cilake.quality.run import validate

    seconds = 0.0
    with spark_session(settings, app_name="bench validation") as spark:
        for address in ("core.tests", "core.ci_jobs", "core.test_results", "core.ci_runs"):
            rows = spark.table(table(address).identifier)
            spent, _ = timed(partial(validate, address, rows, validation_id="bench", partition_date=day))
            seconds += spent
    report("validation", seconds, "s", baseline=build_seconds, target_ratio=0.25, target_seconds=5)


def report_query(trino_url: str, name: str, query: str, **target: float) -> None:
    """Print the median time of a query through Trino, next to that of a query that reads nothing."""
    from deploy.local.services.trino_client import ask

    def median(text: str) -> float:
        ask(trino_url, text)
        return statistics.median(timed(lambda: ask(trino_url, text))[0] for _ in range(QUERY_REPEATS))

    report(name, median(query), "s", baseline=median("select 1"), **target)


def report_scoring(folder: Path) -> date:
    """Report the times of features and forecasts as bare functions; return the day of the newest run."""
    from cilake.models.test_failure import fit, predict, sample
    from cilake.models.test_failure.features.compute import compute_features

    results, runs = decode(folder)
    seconds, features = timed(lambda: compute_features(results, runs))
    counting, _ = timed(
        lambda: results.group_by(["job_key", "test_key"]).aggregate([("test_status", "count")])
    )
    report(
        "features", seconds, "s", baseline=counting, of="one count per job and test", decisions=len(features)
    )
    model = fit.fit_sample(sample.sample(features, sample.TRAINING_SHARES, total=len(features)))
    chosen: pa.Table = features.slice(len(features) - min(SCORED_ENTITIES, len(features)))
    forecast, _ = timed(lambda: predict.predict(model, chosen, with_reasons=False))
    explained, _ = timed(lambda: predict.predict(model, chosen))
    report(
        "scoring",
        explained,
        "s",
        baseline=forecast,
        of="the same without reasons",
        entities=len(chosen),
        target_seconds=20,
    )
    newest: date = pc.max(runs["started_at"]).as_py().date()
    return newest


def main(arguments: list[str] | None = None) -> int:
    """Measure one folder; return the exit code."""
    parser = argparse.ArgumentParser(description="Measure how fast the platform is on recorded replies.")
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIR, help="folder with dashboards, at any depth")
    given = parser.parse_args(arguments)
    # A Connect session that the collector finds while another one works waits for it, and that one for it.
    gc.disable()
    if not given.dir.is_dir():
        log_progress(f"no folder {given.dir}: name one of recorded replies with DIR=…")
        return 1
    floor_figures = measure_floor(given.dir)
    report("floor", floor_figures["wall_seconds"], "s", results=floor_figures["non_empty_cells"])
    day = report_scoring(given.dir)
    with tempfile.TemporaryDirectory(prefix="cilake_bench_") as home:
        log_progress("starting a separate stack")
        with temporary_stack(Path(home) / "home", "spark", "trino") as stack:
            measure(stack, given.dir, day, floor_figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
