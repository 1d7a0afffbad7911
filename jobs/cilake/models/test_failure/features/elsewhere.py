"""Features from the results of the same test in other jobs: a broken product fails everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cilake.models.test_failure.features.history import DAY_US, HOUR_US, Decisions, History, prefix_sum
from cilake.models.test_failure.features.own_history import last_before, log_odds
from cilake.models.test_failure.labels import FAILED, FLAKY

#: A job counts as failing the test for this long after the failure, unless a later result says else.
FAILING_HOURS = 72


@dataclass(slots=True)
class _ByTest:
    """The history ordered by test and time, whatever the job, and each decision's index in it."""

    key: np.ndarray
    code: np.ndarray
    time_rank: np.ndarray
    begin: np.ndarray
    end: np.ndarray


def elsewhere_features(history: History, decisions: Decisions) -> dict[str, np.ndarray]:
    """Return the features of the group ``elsewhere`` by name."""
    by_test = _order_by_test(history, decisions)
    columns = _any_job(history, decisions, by_test)
    columns.update(_other_jobs(history, decisions, by_test))
    columns["elsewhere_failing_job_count"] = _failing_jobs(history, decisions)
    return columns


def _order_by_test(history: History, decisions: Decisions) -> _ByTest:
    size = history.clock.size
    key = history.test.astype(np.int64) * size + history.time_rank
    order = np.argsort(key, kind="stable")
    key = key[order]
    tests = int(history.test[-1]) + 1 if len(key) else 0
    first_of_test = np.searchsorted(key, np.arange(tests) * size).astype(np.int32)
    return _ByTest(
        key=key,
        code=history.code[order],
        time_rank=history.time_rank[order],
        begin=first_of_test[decisions.test],
        end=_search(key, decisions.test, size, decisions.time_rank),
    )


def _search(key: np.ndarray, group: np.ndarray, size: int, time_rank: np.ndarray) -> np.ndarray:
    asked = group.astype(np.int64) * size
    asked += time_rank
    index: np.ndarray = np.searchsorted(key, asked).astype(np.int32)
    return index


def _other_jobs(history: History, decisions: Decisions, by_test: _ByTest) -> dict[str, np.ndarray]:
    """Return counts in a span of time: those of the test in any job less those in the decision's own."""
    size = history.clock.size
    key_of_entity = history.entity * size + history.time_rank
    failed_in_test = prefix_sum(by_test.code == FAILED)
    flaky_in_test = prefix_sum(by_test.code == FLAKY)
    columns: dict[str, np.ndarray] = {}
    for name, span_us in (("6h", 6 * HOUR_US), ("24h", DAY_US), ("7d", 7 * DAY_US)):
        since = history.clock.ranks_before(span_us)[decisions.time_rank]
        any_job = _search(by_test.key, decisions.test, size, since)
        own = _search(key_of_entity, decisions.entity, size, since)
        results = (by_test.end - any_job) - (decisions.end - own)
        fails = failed_in_test[by_test.end] - failed_in_test[any_job]
        fails -= history.failed_before[decisions.end] - history.failed_before[own]
        if name != "7d":
            columns[f"elsewhere_fail_count_{name}"] = fails.astype(np.float32)
        if name == "24h":
            columns["elsewhere_result_count_24h"] = results.astype(np.float32)
        if name != "6h":
            columns[f"elsewhere_fail_log_odds_{name}"] = log_odds(fails, results)
        if name == "7d":
            flaky = flaky_in_test[by_test.end] - flaky_in_test[any_job]
            flaky -= history.flaky_before[decisions.end] - history.flaky_before[own]
            columns["elsewhere_flaky_ratio_7d"] = flaky.astype(np.float32) / np.maximum(results, 1)
    return columns


def _failing_jobs(history: History, decisions: Decisions) -> np.ndarray:
    """Return the other jobs whose latest result of the test failed not long ago.

    Every failure opens an interval that ends with the entity's next result or after
    ``FAILING_HOURS``; the count at a decision is intervals begun minus intervals ended.
    """
    size = history.clock.size
    index = np.flatnonzero(history.code == FAILED)
    instants = history.clock.instants_us
    expires = np.searchsorted(instants, instants + FAILING_HOURS * HOUR_US, side="right") - 1
    end = expires[history.time_rank[index]]
    following = np.minimum(index + 1, len(history.code) - 1)
    is_followed = (index + 1 < len(history.code)) & (history.entity[following] == history.entity[index])
    end = np.where(is_followed, np.minimum(end, history.time_rank[following]), end)

    def count(group: np.ndarray, asked: np.ndarray) -> np.ndarray:
        begun = np.sort(group[index].astype(np.int64) * size + history.time_rank[index])
        ended = np.sort(group[index].astype(np.int64) * size + end)
        # A result that ends an interval is known only after its own instant, as one that begins it.
        failing = _search(begun, asked, size, decisions.time_rank)
        failing -= _search(ended, asked, size, decisions.time_rank)
        return failing

    others = count(history.test, decisions.test) - count(history.entity, decisions.entity)
    values: np.ndarray = others.astype(np.float32)
    return values


def _any_job(history: History, decisions: Decisions, by_test: _ByTest) -> dict[str, np.ndarray]:
    """Return the features that look at a test's results in the order of time, whatever the job."""
    failed = by_test.code == FAILED
    sums = prefix_sum(failed)
    begin, end = by_test.begin, by_test.end
    started = history.clock.instants_us[by_test.time_rank]
    now = history.clock.instants_us[decisions.time_rank]
    columns: dict[str, np.ndarray] = {}
    for window in (10, 50):
        start = np.maximum(begin, end - window)
        columns[f"test_fail_count_last_{window}"] = (sums[end] - sums[start]).astype(np.float32)
    columns["test_fail_log_odds"] = log_odds(sums[end] - sums[begin], end - begin)
    last_failure = last_before(failed)[end]
    never = last_failure < begin
    hours = (now - started[np.where(never, 0, last_failure)]) / HOUR_US
    columns["test_hours_since_failure"] = np.where(never, np.nan, hours).astype(np.float32)
    columns["test_age_days"] = ((now - started[begin]) / DAY_US).astype(np.float32)
    return columns
