"""Features from the earlier runs of the job, and of all jobs, from the small table of runs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from cilake.models.test_failure.features.history import DAY_US, HOUR_US, Decisions, History, factorize
from cilake.models.test_failure.spec import ISOLATED_RATIO

WINDOW_RUNS = 10
#: Fractions are summed in units of one millionth.
FIXED_POINT = 1_000_000


def run_fail_ratio(runs: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the run keys in ascending order and, of the tests that ran in each, the share that failed."""
    keys = runs.column("run_key").cast(pa.int64()).to_numpy()
    order = np.argsort(keys, kind="stable")
    ran, failed = _counts(runs)
    return keys[order], (failed / np.maximum(ran, 1))[order].astype(np.float32)


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
    """Return how many tests ran in each run, skipped and running ones left out, and how many failed."""
    passed, failed, flaky = (
        runs.column(name).cast(pa.int64()).to_numpy().astype(np.float64)
        for name in ("passed_count", "failed_count", "flaky_count")
    )
    return passed + failed + flaky, failed


def _started(runs: pa.Table) -> np.ndarray:
    values: np.ndarray = (
        runs.column("started_at").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    )
    return values


def _sums(values: np.ndarray) -> np.ndarray:
    # Fixed-point sums are exact: runs that are added to the table later never change an earlier mean.
    fixed = np.round(values * FIXED_POINT).astype(np.int64)
    return np.concatenate([[0], np.cumsum(fixed)])


class _LastRuns:
    """The runs of each job in order, and which of them each requested pair of job and instant knows."""

    def __init__(self, runs: pa.Table, job_key: np.ndarray, at_us: np.ndarray) -> None:
        run_keys = runs.column("run_key").cast(pa.int64()).to_numpy()
        run_jobs = runs.column("job_key").cast(pa.int64()).to_numpy()
        order = np.lexsort((run_keys, _started(runs), run_jobs))
        self.started = _started(runs)[order]
        self.ran, self.failed = (values[order] for values in _counts(runs))
        instants = np.unique(np.concatenate([self.started, at_us]))
        jobs = np.unique(np.concatenate([run_jobs, job_key]))
        size = len(instants) + 1
        key = np.searchsorted(jobs, run_jobs[order]) * size + np.searchsorted(instants, self.started)
        group = np.searchsorted(jobs, job_key) * size
        self.begin = np.searchsorted(key, group)
        self.end = np.searchsorted(key, group + np.searchsorted(instants, at_us))
        self.is_known = self.end > self.begin

    def total(self, values: np.ndarray, window: int) -> np.ndarray:
        """Return the sum over the last ``window`` runs, in fixed point."""
        sums = _sums(values)
        total: np.ndarray = sums[self.end] - sums[np.maximum(self.begin, self.end - window)]
        return total

    def mean(self, values: np.ndarray, window: int) -> np.ndarray:
        """Return the mean over the last ``window`` runs; NaN without any."""
        count = np.clip(self.end - self.begin, 1, window)
        return np.where(self.is_known, self.total(values, window) / (count * FIXED_POINT), np.nan)

    def last(self, values: np.ndarray) -> np.ndarray:
        """Return the value of the newest run; NaN without any."""
        if not len(values):
            return np.full(len(self.end), np.nan)
        return np.where(self.is_known, values[np.maximum(self.end - 1, 0)], np.nan)

    def first(self, values: np.ndarray) -> np.ndarray:
        """Return the value of the oldest run; NaN without any."""
        if not len(values):
            return np.full(len(self.end), np.nan)
        return np.where(self.is_known, values[np.minimum(self.begin, len(values) - 1)], np.nan)


def _per_job(runs: pa.Table, job_key: np.ndarray, at_us: np.ndarray) -> dict[str, np.ndarray]:
    known = _LastRuns(runs, job_key, at_us)
    # Of a run whose tests all run still or were skipped, no share failed: it is no run without failures.
    ended = _LastRuns(runs.filter(pa.array(_counts(runs)[0] > 0)), job_key, at_us)
    ratio, usual = ended.failed / ended.ran, ended.mean(ended.ran, WINDOW_RUNS)
    started = known.started.astype(np.float64)
    return {
        "job_fail_ratio_last_1": ended.last(ratio),
        "job_fail_ratio_last_3": ended.mean(ratio, 3),
        "job_fail_ratio_last_10": ended.mean(ratio, WINDOW_RUNS),
        "job_fail_count_last_1": ended.last(ended.failed),
        "job_mass_failure_count_10": ended.total(ratio > ISOLATED_RATIO, WINDOW_RUNS) / FIXED_POINT,
        "job_test_count_change": ended.last(ended.ran) / np.maximum(usual, 1),
        "job_hours_since_run": (at_us - known.last(started)) / HOUR_US,
        "job_run_count": (known.end - known.begin).astype(np.float64),
        "job_age_days": np.nan_to_num((at_us - known.first(started)) / DAY_US),
    }


def _platform(runs: pa.Table, at_us: np.ndarray) -> dict[str, np.ndarray]:
    order = np.argsort(_started(runs), kind="stable")
    started = _started(runs)[order]
    counts, failed = (_sums(values[order]) for values in _counts(runs))  # their ratio is free of the unit
    end = np.searchsorted(started, at_us)
    columns = {}
    for hours in (6, 24):
        start = np.searchsorted(started, at_us - hours * HOUR_US)
        ran = counts[end] - counts[start]
        columns[f"platform_fail_ratio_{hours}h"] = np.where(
            ran > 0, (failed[end] - failed[start]) / np.maximum(ran, 1), np.nan
        )
    return columns
