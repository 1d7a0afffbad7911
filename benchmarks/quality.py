"""How good the model ``test_failure`` is on a folder of recorded TestGrid replies, next to its baselines.

``python benchmarks/quality.py [--dir DIR] [--json FILE] [--split INSTANT]`` decodes every dashboard below DIR
(a folder with ``summary.json.gz``; the other ``*.json.gz`` in it are tables), makes the features, trains on
the decisions before the split and measures on those after it.  No part of the platform runs: the model is a
pure function of tables, and this is the shortest honest way from recorded replies to its measures.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import resource
import sys
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cilake.contracts.model_spec import MODEL_SCORER
from cilake.contracts.vocabulary.ci import FAILING, PASSING, VERDICT_NAME
from cilake.models import gate
from cilake.models.test_failure import fit, fitted, labels, predict, sample
from cilake.models.test_failure.features.compute import TIMESTAMP, compute_features, pending_decisions
from cilake.models.test_failure.spec import MODEL
from cilake.transforms import measures

SUMMARY_FILE = "summary.json.gz"
TABLE_SUFFIX = ".json.gz"
VERDICT = re.compile(VERDICT_NAME)
GZIP_WINDOW = 31  # zlib's code for "expect a gzip header"
#: The split that published figures of the OpenShift recordings refer to; used where it splits the data.
AGREED_SPLIT = datetime(2021, 6, 21, 13, tzinfo=UTC)
MIN_SHARE = 0.05
EVALUATED_SHARE = 0.20
#: The recorded folder next to the checkout.
DEFAULT_DIR = Path(__file__).resolve().parents[2] / "shared/data/testgrid-openshift/historical"
DEFAULT_JSON = Path("test-output/quality.json")
#: How many tests the list of a day shows first.
LISTED = 20
#: Entities scored in the timing of nightly scoring.
SCORED_ENTITIES = 200_000


class NoData(Exception):
    """The folder holds nothing to measure on; the message says what is missing."""


def table_files(root: Path) -> Iterator[Path]:
    """Yield the table files of every dashboard below the folder, in a fixed order."""
    for summary in sorted(root.rglob(SUMMARY_FILE)):
        yield from (
            path for path in sorted(summary.parent.glob(f"*{TABLE_SUFFIX}")) if path.name != SUMMARY_FILE
        )


def decode(root: Path) -> tuple[pa.Table, pa.Table]:
    """Return the results of tests and the runs below the folder, as ``compute_features`` reads them."""
    jobs: dict[str, int] = {}
    tests: dict[str, int] = {}
    run_of: dict[tuple[int, str], int] = {}
    run_rows: list[tuple[int, int]] = []
    cells: list[tuple[np.ndarray, ...]] = []
    for path in table_files(root):
        try:
            table = orjson.loads(zlib.decompress(path.read_bytes(), GZIP_WINDOW))
            grid = _grid(table)
        except (zlib.error, KeyError, TypeError, ValueError) as error:
            raise NoData(f"{path.name} is no readable TestGrid table: {error}") from error
        if grid is None:
            continue
        job = jobs.setdefault(path.name.removesuffix(TABLE_SUFFIX), len(jobs))
        # A run that another dashboard also shows is one run: its column is taken once.
        fresh = [(job, build) not in run_of for build in table["changelists"]]
        for build, started_ms in zip(table["changelists"], table["timestamps"], strict=True):
            if run_of.setdefault((job, build), len(run_of)) == len(run_rows):
                run_rows.append((job, int(started_ms)))
        is_test = np.array([VERDICT.search(row["name"]) is None for row in table["tests"]], dtype=np.int8)
        run = np.array([run_of[job, build] for build in table["changelists"]], dtype=np.int32)
        test = np.array([tests.setdefault(row["name"], len(tests)) for row in table["tests"]], dtype=np.int32)
        row, column = (grid * np.array(fresh, dtype=np.int8) * is_test[:, None]).nonzero()
        cells.append((run[column], test[row], grid[row, column]))
    if not cells:
        raise NoData(f"no TestGrid results below {root} (a dashboard is a folder with {SUMMARY_FILE})")
    run, test, code = (np.concatenate(part) for part in zip(*cells, strict=True))
    return _tables(run, test, code, np.array(run_rows, dtype=np.int64))


def _grid(table: dict[str, Any]) -> np.ndarray | None:
    """Return the status codes of one table as a matrix of tests by runs; None if it is empty."""
    rows, columns = table["tests"], len(table["timestamps"])
    if not rows or not columns:
        return None
    encoded = [row["statuses"] for row in rows]
    stretches = list(chain.from_iterable(encoded))
    counts = np.fromiter(map(itemgetter("count"), stretches), np.int64, len(stretches))
    values = np.fromiter(map(itemgetter("value"), stretches), np.int8, len(stretches))
    ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    if not np.array_equal(np.cumsum(counts)[ends - 1], columns * np.arange(1, len(rows) + 1)):
        raise ValueError(f"a row does not cover the {columns} columns")
    return np.repeat(values, counts).reshape(len(rows), columns)


def _tables(
    run: np.ndarray, test: np.ndarray, code: np.ndarray, run_rows: np.ndarray
) -> tuple[pa.Table, pa.Table]:
    names = pa.array(list(labels.STATUS_CODES))
    job, started_ms = run_rows[:, 0], run_rows[:, 1]
    started = pa.array(started_ms * 1000).cast(TIMESTAMP)
    picked = pa.array(run)
    results = pa.table(
        {
            "run_key": picked.cast(pa.int64()),
            "job_key": pa.array(job).take(picked),
            "test_key": pa.array(test).cast(pa.int64()),
            "started_at": started.take(picked),
            "test_status": pa.DictionaryArray.from_arrays(pa.array(code - 1), names),
        }
    )
    count = len(run_rows)
    runs = pa.table(
        {
            "run_key": np.arange(count),
            "job_key": job,
            "started_at": started,
            "passed_count": _count_with(run, code, count, PASSING),
            "failed_count": _count_with(run, code, count, FAILING),
            "flaky_count": _count_with(run, code, count, ("flaky",)),
        }
    )
    return results, runs


def _count_with(run: np.ndarray, code: np.ndarray, count: int, statuses: tuple[str, ...]) -> np.ndarray:
    codes = [labels.STATUS_CODES[status] for status in statuses]
    counts: np.ndarray = np.bincount(run[np.isin(code, codes)], minlength=count)
    return counts


def count_listed(later: pa.Table, probability: np.ndarray) -> dict[str, int]:
    """Return how many of each day's failures are among the tests that a list for that day shows first.

    The list of a day holds the first decision of every test in every job on it, likeliest failure first.
    """
    day = later.column("started_at").to_numpy().astype("datetime64[D]").astype(np.int64)
    entity = [later.column(name).to_numpy() for name in ("job_key", "test_key")]
    started, failed = later.column("started_at").to_numpy(), later.column("has_failed").to_numpy()
    order = np.lexsort((started, *entity, day))
    keys = np.stack([day, *entity])[:, order]
    first = order[np.concatenate(([True], (keys[:, 1:] != keys[:, :-1]).any(axis=0)))]
    ranked = first[np.lexsort((-probability[first], day[first]))]
    begins = np.concatenate(([True], day[ranked][1:] != day[ranked][:-1]))
    begin = np.maximum.accumulate(np.where(begins, np.arange(len(ranked)), 0))
    is_listed = np.arange(len(ranked)) - begin < LISTED
    return {
        "days": int(begins.sum()),
        "failures": int(failed[ranked].sum()),
        "listed": int(is_listed.sum()),
        "listed_failures": int(failed[ranked][is_listed].sum()),
    }


def choose_split(started_at: pa.ChunkedArray, wanted: datetime | None) -> datetime:
    """Return the instant given, else the agreed one if the data spans it, else the last fifth's start."""
    if wanted is not None:
        return wanted
    moments = started_at.cast(pa.int64()).to_numpy()
    agreed = int(AGREED_SPLIT.timestamp() * 1e6)
    if MIN_SHARE <= np.mean(moments >= agreed) <= 1 - MIN_SHARE:
        return AGREED_SPLIT
    return datetime.fromtimestamp(float(np.quantile(moments, 1 - EVALUATED_SHARE)) // 1e6, UTC)


class _Watch:
    """Times the stages and says on stderr where the run is."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._mark = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._mark, 2)
        self._mark = now
        print(f"{stage}: {self.seconds[stage]} s, peak {_peak_mib()} MiB", file=sys.stderr, flush=True)


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(root: Path, wanted_split: datetime | None) -> dict[str, Any]:
    """Return the whole comparison for one folder, ready for JSON."""
    watch = _Watch()
    results, runs = decode(root)
    watch.lap("decode")
    features = compute_features(results, runs)
    watch.lap("features")
    figures: dict[str, Any] = {
        "result_count": len(results),
        "run_count": len(runs),
        "decision_count": len(features),
    }
    if not len(features):
        raise NoData("no test of any job has a second result, so there is no decision to measure")
    split = choose_split(features.column("started_at"), wanted_split)
    is_late = pc.greater_equal(features.column("started_at"), pa.scalar(split, TIMESTAMP))
    earlier, later = features.filter(pc.invert(is_late)), features.filter(is_late)
    del features
    if not len(earlier) or not len(later):
        raise NoData(f"the split {split.isoformat()} leaves no decisions on one side")
    model = fit.fit_sample(sample.sample(earlier, sample.TRAINING_SHARES, total=len(earlier)))
    data, digest = fitted.to_bytes(model)
    model = fitted.from_bytes(data, digest)
    watch.lap("train")
    predictions = predict.predict(model, later, with_reasons=False)
    outcome = later.column("has_failed").to_numpy()
    forecasts = {scorer: predictions.column(column).to_numpy() for scorer, column in MODEL.scorers.items()}
    table = measures.evaluate(forecasts, outcome)
    watch.lap("evaluate")
    block = gate.blocks_of(later.column("started_at"), later.column("job_key"))
    verdict = gate.judge_challenger(
        gate.Evidence(forecasts, outcome, block, np.ones(len(outcome))), MODEL.gate
    )
    watch.lap("gate")
    latest = pc.max(results.column("started_at")).as_py()
    pending = pending_decisions(results, latest).slice(0, SCORED_ENTITIES)
    predict.predict(model, later.slice(0, SCORED_ENTITIES))
    watch.lap(f"score_{min(len(later), SCORED_ENTITIES)}_with_reasons")
    figures.update(
        split=split.isoformat(),
        model="boosted" if model.estimator is not None else "baseline",
        tree_count=model.estimator.n_iter_ if model.estimator is not None else 0,
        model_bytes=len(data),
        training_failure_ratio=model.base_rate,
        active_entity_count=len(pending),
        abstain_ratio=1 - predictions.column("abstain_reason").null_count / len(predictions),
        scorers=table.to_pylist(),
        abstain_reasons=dict(
            (row["values"], row["counts"])
            for row in pc.value_counts(predictions["abstain_reason"]).to_pylist()
        ),
        gate_passed=verdict.passed,
        gate_verdict=verdict.text,
        first_listed={name: count_listed(later, forecast) for name, forecast in forecasts.items()},
        reliability=measures.reliability(forecasts[MODEL_SCORER], outcome),
        seconds=watch.seconds,
        peak_mib=_peak_mib(),
    )
    return figures


def as_text(figures: dict[str, Any]) -> str:
    """Return the comparison as tables for a reader."""
    lines = [
        f"split {figures['split']}: {figures['scorers'][0]['decision_count']:,} decisions after it,"
        f" {figures['scorers'][0]['failure_count']:,} of them failures",
        "",
        f"{'scorer':<18}{'log loss':>10}{'Brier':>10}{'AP':>8}{'ECE':>9}",
    ]
    lines += [
        f"{row['scorer']:<18}{row['log_loss']:>10.5f}{row['brier']:>10.5f}"
        f"{row['average_precision']:>8.4f}{row['calibration_error']:>9.5f}"
        for row in figures["scorers"]
    ]
    lines += ["", f"{'first ' + str(LISTED) + ' of a day':<18}{'listed':>10}{'failed':>10}{'of all':>10}"]
    lines += [
        f"{name:<18}{counts['listed']:>10,}{counts['listed_failures']:>10,}{counts['failures']:>10,}"
        for name, counts in figures["first_listed"].items()
    ]
    lines += ["", f"{'probability':<18}{'decisions':>12}{'forecast':>10}{'failed':>10}"]
    lines += [
        f"{row['from_probability']:g} - {row['to_probability']:g}".ljust(18)
        + f"{row['decision_count']:>12,}{row['mean_probability']:>10.4f}{row['failed_ratio']:>10.4f}"
        for row in figures["reliability"]
    ]
    verdict = "passed" if figures["gate_passed"] else "failed, the baseline serves"
    return "\n".join([*lines, "", f"gate {verdict}: {figures['gate_verdict']}"])


def _instant(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def main(arguments: list[str] | None = None) -> int:
    """Measure one folder, print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(
        description="Measure the model test_failure on recorded TestGrid replies."
    )
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIR, help="folder with dashboards, at any depth")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, metavar="FILE", help="where the JSON goes")
    parser.add_argument("--split", type=_instant, help="evaluate on decisions from this instant on")
    given = parser.parse_args(arguments)
    gc.disable()  # parsed JSON has no cycles, only many objects
    try:
        figures = measure(given.dir, given.split)
    except NoData as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(as_text(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
