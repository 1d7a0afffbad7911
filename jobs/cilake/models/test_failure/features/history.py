"""Results in the order the features count them, and the index of every decision in that order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cilake.models.test_failure.labels import FAILED, FLAKY, PENDING, UNDECIDED_CODES

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@dataclass(slots=True)
class Clock:
    """The distinct instants of a call, so that time fits into a sort key as a small number."""

    instants_us: np.ndarray

    def rank(self, us: np.ndarray) -> np.ndarray:
        """Return how many instants lie strictly before each given one."""
        return np.searchsorted(self.instants_us, us, side="left")

    def ranks_before(self, span_us: int) -> np.ndarray:
        """Return, per instant, the rank of the instant ``span_us`` earlier."""
        return self.rank(self.instants_us - span_us)

    @property
    def size(self) -> int:
        """Return the factor that leaves room for every rank in a sort key."""
        return len(self.instants_us) + 1


@dataclass(slots=True)
class History:
    """Final results ordered by test, job, start and run; a test's rows are contiguous, so are a job's."""

    clock: Clock
    entity: np.ndarray
    test: np.ndarray
    job: np.ndarray
    time_rank: np.ndarray
    code: np.ndarray
    run_ratio: np.ndarray
    job_keys: np.ndarray
    failed_before: np.ndarray
    flaky_before: np.ndarray

    @property
    def started_us(self) -> np.ndarray:
        """Return the start of each result in microseconds."""
        values: np.ndarray = self.clock.instants_us[self.time_rank]
        return values


@dataclass(slots=True)
class Decisions:
    """Rows to make features for; ``[begin, end)`` are the earlier results of the same job x test."""

    row: np.ndarray
    code: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    entity: np.ndarray
    test: np.ndarray
    job: np.ndarray
    time_rank: np.ndarray


def order_results(
    *,
    run_key: np.ndarray,
    job_key: np.ndarray,
    test_key: np.ndarray,
    started_us: np.ndarray,
    code: np.ndarray,
    fail_ratio_of_run: tuple[np.ndarray, np.ndarray],
    only_pending: bool,
) -> tuple[History, Decisions]:
    """Return the ordered history and the decisions that have at least one earlier result.

    Every final result is a decision and so is every pending row; with ``only_pending`` just the latter.
    """
    instants, time_rank = factorize(started_us)
    clock = Clock(instants)
    job_keys, job = factorize(job_key)
    _, test = factorize(test_key)
    entity = test * len(job_keys) + job

    final = np.flatnonzero(~np.isin(code, (PENDING, *UNDECIDED_CODES)))
    final = final[_order(entity[final], time_rank[final], run_key[final], clock)]
    sorted_entity, sorted_rank, sorted_code = entity[final], time_rank[final], code[final]
    history = History(
        clock=clock,
        entity=sorted_entity,
        test=test[final].astype(np.int32),
        job=job[final].astype(np.int32),
        time_rank=sorted_rank.astype(np.int32),
        code=sorted_code,
        run_ratio=_lookup(*fail_ratio_of_run, run_key, final),
        job_keys=job_keys,
        failed_before=prefix_sum(sorted_code == FAILED),
        flaky_before=prefix_sum(sorted_code == FLAKY),
    )

    pending = np.flatnonzero(code == PENDING)
    pending = pending[np.argsort(entity[pending] * clock.size + time_rank[pending], kind="stable")]
    begin = np.searchsorted(sorted_entity, entity[pending]).astype(np.int32)
    asked = entity[pending] * clock.size + time_rank[pending]
    end = np.searchsorted(sorted_entity * clock.size + sorted_rank, asked).astype(np.int32)
    row = pending
    if not only_pending:
        final_begin, final_end = _positions(sorted_entity, sorted_rank)
        row = np.concatenate([final, pending])
        begin, end = np.concatenate([final_begin, begin]), np.concatenate([final_end, end])
    kept = end > begin
    row = row[kept]
    decisions = Decisions(
        row=row,
        code=code[row],
        begin=begin[kept],
        end=end[kept],
        entity=entity[row],
        test=test[row].astype(np.int32),
        job=job[row].astype(np.int32),
        time_rank=time_rank[row].astype(np.int32),
    )
    return history, decisions


def _positions(entity: np.ndarray, time_rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the earlier results of the same entity begin and end, for ordered results."""
    position = np.arange(len(entity), dtype=np.int32)
    new_entity = np.ones(len(entity), dtype=bool)
    new_entity[1:] = entity[1:] != entity[:-1]
    new_instant = new_entity.copy()
    new_instant[1:] |= time_rank[1:] != time_rank[:-1]
    begin = np.maximum.accumulate(np.where(new_entity, position, 0)) if len(entity) else position
    # Results that started at the same instant do not know of each other.
    end = np.maximum.accumulate(np.where(new_instant, position, 0)) if len(entity) else position
    return begin, end


def factorize(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted distinct keys and the position of each key among them."""
    encoded = pa.array(keys).dictionary_encode()
    distinct = encoded.dictionary.to_numpy()
    order = np.argsort(distinct)
    position = np.empty(len(distinct), dtype=np.int64)
    position[order] = np.arange(len(distinct))
    return distinct[order], position[encoded.indices.to_numpy()]


def prefix_sum(flags: np.ndarray) -> np.ndarray:
    """Return how many flags are set before each position, with one more entry for the total."""
    sums = np.zeros(len(flags) + 1, dtype=np.int32)
    np.cumsum(flags, out=sums[1:])
    return sums


def _order(entity: np.ndarray, time_rank: np.ndarray, run_key: np.ndarray, clock: Clock) -> np.ndarray:
    key = entity * clock.size + time_rank
    order = np.argsort(key)
    ordered = key[order]
    if len(order) and np.any(ordered[1:] == ordered[:-1]):
        # Two runs of a job at one instant are rare: only those few rows are ordered by run as well.
        tied = np.zeros(len(order), dtype=bool)
        tied[1:] = ordered[1:] == ordered[:-1]
        tied[:-1] |= tied[1:]
        indexes = np.flatnonzero(tied)
        rows = order[indexes]
        order[indexes] = rows[np.lexsort((run_key[rows], key[rows]))]
    return order


def _lookup(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the value of each wanted row's key; a key that is not known gives NaN."""
    if not len(keys):
        return np.full(len(rows), np.nan, dtype=np.float32)
    distinct, position = factorize(wanted)
    index = np.minimum(np.searchsorted(keys, distinct), len(keys) - 1)
    of_distinct = np.where(keys[index] == distinct, values[index], np.nan).astype(np.float32)
    found: np.ndarray = of_distinct[position[rows]]
    return found
