"""Features from the results of the same test in other jobs: a broken product fails everywhere."""

from __future__ import annotations

import numpy as np

from .history import DAY_US, HOUR_US, Decisions, History, prefix_sum
from .labels import FAILED, FLAKY
from .own_history import last_before, log_odds

#: A job counts as failing the test for this long after the failure, unless a later result says else.
FAILING_HOURS = 72


class _Counter:
    """Counts a kind of result of a test, or of a test in one job, in a span before a decision."""

    def __init__(self, history: History, decisions: Decisions, selected: np.ndarray | None) -> None:
        pick = slice(None) if selected is None else selected
        size = history.clock.size
        self._by_entity = history.entity[pick] * size + history.time_rank[pick]
        self._by_test = np.sort(history.test[pick].astype(np.int64) * size + history.time_rank[pick])
        self._entity_key = decisions.entity * size
        self._test_key = decisions.test.astype(np.int64) * size
        self._rank = decisions.time_rank
        self._clock = history.clock
        self._until = (
            np.searchsorted(self._by_test, self._test_key + self._rank).astype(np.int32)
            - np.searchsorted(self._by_entity, self._entity_key + self._rank).astype(np.int32)
        )

    def elsewhere(self, span_us: int) -> np.ndarray:
        """Return the count in other jobs during the span before each decision."""
        since = self._clock.ranks_before(span_us)[self._rank]
        earlier = np.searchsorted(self._by_test, self._test_key + since).astype(np.int32)
        earlier -= np.searchsorted(self._by_entity, self._entity_key + since).astype(np.int32)
        return self._until - earlier


def elsewhere_features(history: History, decisions: Decisions) -> dict[str, np.ndarray]:
    """Return the features of the group ``elsewhere`` by name."""
    columns: dict[str, np.ndarray] = {}
    everything = _Counter(history, decisions, None)
    results_24h = everything.elsewhere(DAY_US)
    results_7d = everything.elsewhere(7 * DAY_US)
    del everything
    failures = _Counter(history, decisions, np.flatnonzero(history.code == FAILED))
    fails_24h = failures.elsewhere(DAY_US)
    columns["elsewhere_result_count_24h"] = results_24h.astype(np.float32)
    columns["elsewhere_fail_count_6h"] = failures.elsewhere(6 * HOUR_US).astype(np.float32)
    columns["elsewhere_fail_count_24h"] = fails_24h.astype(np.float32)
    columns["elsewhere_fail_log_odds_24h"] = log_odds(fails_24h, results_24h)
    columns["elsewhere_fail_log_odds_7d"] = log_odds(failures.elsewhere(7 * DAY_US), results_7d)
    del failures
    flaky = _Counter(history, decisions, np.flatnonzero(history.code == FLAKY))
    flaky_7d = flaky.elsewhere(7 * DAY_US).astype(np.float32)
    columns["elsewhere_flaky_ratio_7d"] = flaky_7d / np.maximum(results_7d, 1)
    columns["elsewhere_failing_job_count"] = _failing_jobs(history, decisions)
    columns.update(_any_job(history, decisions))
    return columns


def _failing_jobs(history: History, decisions: Decisions) -> np.ndarray:
    """Return the other jobs whose latest result of the test failed not long ago.

    Every failure opens an interval that ends with the entity's next result or after
    ``FAILING_HOURS``; the count at a decision is intervals begun minus intervals ended.
    """
    size = history.clock.size
    place = np.flatnonzero(history.code == FAILED)
    instants = history.clock.instants_us
    expires = np.searchsorted(instants, instants + FAILING_HOURS * HOUR_US, side="right")
    end = expires[history.time_rank[place]]
    following = np.minimum(place + 1, len(history.code) - 1)
    is_followed = (place + 1 < len(history.code)) & (history.entity[following] == history.entity[place])
    end = np.where(is_followed, np.minimum(end, history.time_rank[following]), end)

    def count(group: np.ndarray, asked: np.ndarray) -> np.ndarray:
        begun = np.sort(group[place].astype(np.int64) * size + history.time_rank[place])
        ended = np.sort(group[place].astype(np.int64) * size + end)
        key = asked.astype(np.int64) * size + decisions.time_rank
        # A result that ends an interval is known only after its own instant, as one that begins it.
        return np.searchsorted(begun, key) - np.searchsorted(ended, key)

    others = count(history.test, decisions.test) - count(history.entity, decisions.entity)
    return others.astype(np.float32)


def _any_job(history: History, decisions: Decisions) -> dict[str, np.ndarray]:
    """Return the features that look at a test's results in the order of time, whatever the job."""
    size = history.clock.size
    key = history.test.astype(np.int64) * size + history.time_rank
    order = np.argsort(key, kind="stable")
    key = key[order]
    failed = history.code[order] == FAILED
    sums = prefix_sum(failed)
    latest = last_before(failed)
    started = history.clock.instants_us[history.time_rank[order]]

    asked = decisions.test.astype(np.int64) * size
    first_of_test = np.searchsorted(key, np.arange(history.test[-1] + 1 if len(key) else 0) * size)
    begin = first_of_test[decisions.test].astype(np.int32)
    asked += decisions.time_rank
    end = np.searchsorted(key, asked).astype(np.int32)
    now = history.clock.instants_us[decisions.time_rank]
    columns: dict[str, np.ndarray] = {}
    for window in (10, 50):
        start = np.maximum(begin, end - window)
        columns[f"test_fail_count_last_{window}"] = (sums[end] - sums[start]).astype(np.float32)
    columns["test_fail_log_odds"] = log_odds(sums[end] - sums[begin], end - begin)
    last_failure = latest[end]
    never = last_failure < begin
    hours = (now - started[np.where(never, 0, last_failure)]) / HOUR_US
    columns["test_hours_since_failure"] = np.where(never, np.nan, hours).astype(np.float32)
    columns["test_age_days"] = ((now - started[begin]) / DAY_US).astype(np.float32)
    return columns
