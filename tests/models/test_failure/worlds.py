"""Small made-up CI worlds for the tests of this model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from cilake.contracts.vocabulary.ci import FAILING, PASSING
from cilake.models.test_failure.features.compute import RESULTS_SCHEMA, RUNS_SCHEMA

START = datetime(2021, 3, 1, tzinfo=UTC)
NAMES = {"p": "passed", "f": "failed", "k": "flaky", "r": "running", "s": "passed_with_skips", "?": None}


def hours(count: float) -> datetime:
    return START + timedelta(hours=count)


def results(*rows: tuple[int, int, int, float, str]) -> pa.Table:
    """Results from (run, job, test, hour, letter)."""
    return pa.Table.from_pylist(
        [
            {
                "run_key": run,
                "job_key": job,
                "test_key": test,
                "started_at": hours(at),
                "test_status": NAMES[s],
            }
            for run, job, test, at, s in rows
        ],
        schema=RESULTS_SCHEMA,
    )


def runs_of(table: pa.Table) -> pa.Table:
    """The runs table that belongs to the results, counted as ``core.ci_runs`` counts them."""
    runs: dict[int, dict] = {}
    for row in table.to_pylist():
        status = row["test_status"]
        if status is None:
            continue
        run = runs.setdefault(
            row["run_key"],
            {
                "run_key": row["run_key"],
                "job_key": row["job_key"],
                "started_at": row["started_at"],
                "test_count": 0,
                "passed_count": 0,
                "failed_count": 0,
                "flaky_count": 0,
            },
        )
        run["test_count"] += 1
        run["passed_count"] += status in PASSING
        run["failed_count"] += status in FAILING
        run["flaky_count"] += status == "flaky"
    schema = RUNS_SCHEMA.append(pa.field("test_count", pa.int64()))
    return pa.Table.from_pylist(list(runs.values()), schema=schema)


def random_world(
    seed: int = 0, *, jobs: int = 4, tests: int = 30, runs: int = 60
) -> tuple[pa.Table, pa.Table]:
    """A world with stable, flaky and broken tests, tied starts, gaps and shuffled rows."""
    rng = np.random.default_rng(seed)
    rate = rng.choice([0.0, 0.01, 0.3, 0.8], size=tests, p=[0.5, 0.3, 0.1, 0.1])
    keys = rng.integers(-(2**62), 2**62, size=tests + jobs * (runs + 1))
    rows = []
    for job in range(jobs):
        clock = 0.0
        for number in range(runs):
            clock += float(rng.choice([0, 1, 5, 30], p=[0.03, 0.3, 0.57, 0.1]))
            outage = rng.random() < 0.05
            for test in np.flatnonzero(rng.random(tests) < 0.8):
                draw = rng.random()
                letter = "f" if draw < (0.9 if outage else rate[test]) else "k" if draw > 0.97 else "p"
                luck = rng.random()
                letter = "r" if luck < 0.01 else "s" if luck < 0.02 else letter
                run_key = int(keys[tests + job * runs + number])
                rows.append((run_key, int(keys[-1 - job]), int(keys[test]), clock, letter))
    order = rng.permutation(len(rows))
    table = results(*(rows[i] for i in order))
    return table, runs_of(table)
