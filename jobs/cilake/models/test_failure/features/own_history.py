"""Features from the earlier results of the same test in the same job."""

from __future__ import annotations

import numpy as np

from cilake.models.test_failure.features.flips import flip_rates
from cilake.models.test_failure.features.history import DAY_US, HOUR_US, Decisions, History, prefix_sum
from cilake.models.test_failure.labels import FAILED
from cilake.models.test_failure.spec import FEATURE_PRIOR, FLIP_WINDOW, ISOLATED_RATIO, SHRINKAGE_RUNS

#: Results after which a failure counts half, and how far back the decayed score looks.
HALF_LIFE_RESULTS = 4
DECAY_WINDOW = 24
#: Rows whose windows are laid out side by side at once, which bounds the memory.
ROWS_PER_BLOCK = 500_000


def own_features(history: History, decisions: Decisions) -> dict[str, np.ndarray]:
    """Return the features of the groups ``recent`` and ``history`` by name."""
    begin, end = decisions.begin, decisions.end
    count = end - begin
    failed = history.failed_before
    columns: dict[str, np.ndarray] = {}

    fails = failed[end] - failed[begin]
    for size, name in (
        (1, "own_failed_last_1"),
        (3, "own_fail_count_3"),
        (5, "own_fail_count_5"),
        (10, "own_fail_count_10"),
        (20, "own_fail_count_20"),
    ):
        columns[name] = _last(failed, begin, end, size)
    flaky = history.flaky_before
    columns["own_flaky_count_10"] = _last(flaky, begin, end, 10)
    columns["own_flaky_ratio"] = _float(flaky[end] - flaky[begin]) / count
    columns["own_run_count"] = _float(count)
    columns["own_fail_count"] = _float(fails)
    columns["own_fail_log_odds"] = log_odds(fails, count)
    isolated = prefix_sum((history.code == FAILED) & (history.run_ratio < ISOLATED_RATIO))
    columns["own_isolated_fail_count_10"] = _last(isolated, begin, end, 10)

    _add_streaks(columns, history, decisions)
    now = history.clock.instants_us[decisions.time_rank]
    started = history.started_us
    columns["own_hours_since_result"] = _float((now - started[end - 1]) / HOUR_US)
    columns["own_age_days"] = _float((now - started[begin]) / DAY_US)

    last_failure = last_before(history.code == FAILED)[end]
    never = last_failure < begin
    last_failure = np.where(never, 0, last_failure)
    columns["own_hours_since_failure"] = np.where(
        never, np.nan, _float((now - started[last_failure]) / HOUR_US)
    )
    columns["own_last_failure_run_ratio"] = np.where(never, np.float32(0), history.run_ratio[last_failure])
    _add_window_scores(columns, history, decisions)
    return columns


def log_odds(fails: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the log-odds of the shrunken rate of failure."""
    failures = _float(fails) + np.float32(FEATURE_PRIOR)
    passes = _float(count - fails) + np.float32(SHRINKAGE_RUNS - FEATURE_PRIOR)
    return np.log(failures) - np.log(passes)


def last_before(flags: np.ndarray) -> np.ndarray:
    """Return, per position, the latest flagged position before it, or -1."""
    latest = np.full(len(flags) + 1, -1, dtype=np.int32)
    latest[1:] = np.where(flags, np.arange(len(flags), dtype=np.int32), -1)
    return np.maximum.accumulate(latest)


def _float(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def _last(sums: np.ndarray, begin: np.ndarray, end: np.ndarray, size: int) -> np.ndarray:
    return _float(sums[end] - sums[np.maximum(begin, end - size)])


def _add_streaks(columns: dict[str, np.ndarray], history: History, decisions: Decisions) -> None:
    begin, end = decisions.begin, decisions.end
    is_failure = history.code == FAILED
    last_failure = np.maximum(last_before(is_failure)[end], begin - 1)
    last_clean = np.maximum(last_before(~is_failure)[end], begin - 1)
    columns["own_clean_streak_count"] = _float(end - 1 - last_failure)
    columns["own_fail_streak_count"] = _float(end - 1 - last_clean)


def _add_window_scores(columns: dict[str, np.ndarray], history: History, decisions: Decisions) -> None:
    """Add the scores that need the single results; they are 0 where nothing failed or flaked lately."""
    begin, end = decisions.begin, decisions.end
    failed, flaky = history.failed_before, history.flaky_before
    decayed = np.zeros(len(end), dtype=np.float32)
    flips = np.zeros(len(end), dtype=np.float32)
    start = np.maximum(begin, end - max(DECAY_WINDOW, FLIP_WINDOW))
    eventful = np.flatnonzero((failed[end] > failed[start]) | (flaky[end] > flaky[start]))
    weights = 0.5 ** (np.arange(DECAY_WINDOW) / HALF_LIFE_RESULTS)
    for first in range(0, len(eventful), ROWS_PER_BLOCK):
        rows = eventful[first : first + ROWS_PER_BLOCK]
        codes = np.zeros((len(rows), max(DECAY_WINDOW, FLIP_WINDOW)), dtype=np.int8)
        score = np.zeros(len(rows))
        for lag in range(codes.shape[1]):
            index = end[rows] - 1 - lag
            codes[:, lag] = np.where(index >= begin[rows], history.code[np.maximum(index, 0)], 0)
            if lag < DECAY_WINDOW:
                score += weights[lag] * (codes[:, lag] == FAILED)
        decayed[rows] = score
        flips[rows] = flip_rates(codes[:, :FLIP_WINDOW])
    columns["own_decayed_fail_score"] = decayed
    columns["own_flip_rate"] = flips
