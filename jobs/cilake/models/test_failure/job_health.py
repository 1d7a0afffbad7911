"""Features from the earlier runs of the job, and of all jobs, from the small table of runs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from .history import DAY_US, HOUR_US, Decisions, History, factorize
from .spec import ISOLATED_RATIO

WINDOW_RUNS = 10
#: Fractions are summed in units of one millionth.
FIXED_POINT = 1_000_000


def run_fail_ratio(runs: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the run keys in ascending order and the share of tests that failed in each."""
    keys = runs.column("run_key").cast(pa.int64()).to_numpy()
    order = np.argsort(keys, kind="stable")
    tests, failed = _counts(runs)
    return keys[order], (failed / np.maximum(tests, 1))[order].astype(np.float32)


def job_features(runs: pa.Table, history: History, decisions: Decisions) -> dict[str, np.ndarray]:
    """Return the features of the group ``job`` by name.

    They depend on job and instant alone, so they are computed once for each such pair and then spread.
    """
    size = history.clock.size
    pairs, pair_of_decision = factorize(decisions.job.astype(np.int64) * size + decisions.time_rank)
    asked_job_key = history.job_keys[pairs // size]
    asked_us = history.clock.instants_us[pairs % size]
    of_pair = _per_job(runs, asked_job_key, asked_us)
    of_pair.update(_platform(runs, asked_us))
    return {name: values.astype(np.float32)[pair_of_decision] for name, values in of_pair.items()}


def _counts(runs: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    tests = runs.column("test_count").cast(pa.int64()).to_numpy().astype(np.float64)
    failed = runs.column("failed_count").cast(pa.int64()).to_numpy().astype(np.float64)
    return tests, failed


def _started(runs: pa.Table) -> np.ndarray:
    values: np.ndarray = (
        runs.column("started_at").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    )
    return values


def _sums(values: np.ndarray) -> np.ndarray:
    # Fixed-point sums are exact: runs that are added to the table later never change an earlier mean.
    fixed = np.round(values * FIXED_POINT).astype(np.int64)
    return np.concatenate([[0], np.cumsum(fixed)])


def _per_job(runs: pa.Table, job_key: np.ndarray, at_us: np.ndarray) -> dict[str, np.ndarray]:
    run_keys = runs.column("run_key").cast(pa.int64()).to_numpy()
    run_jobs = runs.column("job_key").cast(pa.int64()).to_numpy()
    order = np.lexsort((run_keys, _started(runs), run_jobs))
    started, run_jobs = _started(runs)[order], run_jobs[order]
    tests, failed = (values[order] for values in _counts(runs))
    ratio = failed / np.maximum(tests, 1)

    instants = np.unique(np.concatenate([started, at_us]))
    jobs = np.unique(np.concatenate([run_jobs, job_key]))
    size = len(instants) + 1
    key = np.searchsorted(jobs, run_jobs) * size + np.searchsorted(instants, started)
    group = np.searchsorted(jobs, job_key) * size
    begin = np.searchsorted(key, group)
    end = np.searchsorted(key, group + np.searchsorted(instants, at_us))
    is_known = end > begin

    def mean(values: np.ndarray, window: int) -> np.ndarray:
        start = np.maximum(begin, end - window)
        sums = _sums(values)
        return np.where(
            is_known, (sums[end] - sums[start]) / (np.maximum(end - start, 1) * FIXED_POINT), np.nan
        )

    def last(values: np.ndarray) -> np.ndarray:
        if not len(values):
            return np.full(len(end), np.nan)
        return np.where(is_known, values[np.maximum(end - 1, 0)], np.nan)

    usual = mean(tests, WINDOW_RUNS)
    start = np.maximum(begin, end - WINDOW_RUNS)
    mass = _sums(ratio > ISOLATED_RATIO)
    first_us = started[np.minimum(begin, max(len(started) - 1, 0))] if len(started) else at_us
    return {
        "job_fail_ratio_last_1": last(ratio),
        "job_fail_ratio_last_3": mean(ratio, 3),
        "job_fail_ratio_last_10": mean(ratio, WINDOW_RUNS),
        "job_fail_count_last_1": last(failed),
        "job_mass_failure_count_10": (mass[end] - mass[start]) / FIXED_POINT,
        "job_test_count_change": last(tests) / np.maximum(usual, 1),
        "job_hours_since_run": (at_us - last(started.astype(np.float64))) / HOUR_US,
        "job_run_count": (end - begin).astype(np.float64),
        "job_age_days": np.where(is_known, (at_us - first_us) / DAY_US, 0.0),
    }


def _platform(runs: pa.Table, at_us: np.ndarray) -> dict[str, np.ndarray]:
    order = np.argsort(_started(runs), kind="stable")
    started = _started(runs)[order]
    tests, failed = (_sums(values[order]) for values in _counts(runs))  # their ratio is free of the unit
    end = np.searchsorted(started, at_us)
    columns = {}
    for hours in (6, 24):
        start = np.searchsorted(started, at_us - hours * HOUR_US)
        ran = tests[end] - tests[start]
        columns[f"platform_fail_ratio_{hours}h"] = np.where(
            ran > 0, (failed[end] - failed[start]) / np.maximum(ran, 1), np.nan
        )
    return columns
