"""Failing stretches: what the results of tests in one job, in the order of their runs, say week by week."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cilake.contracts.kpi.weekly_test_health import LOOKBACK_DAYS, MIN_GOOD_BEFORE

RESULTS = pa.schema(
    [
        ("job_key", pa.int64()),
        ("test_key", pa.int64()),
        ("run_key", pa.int64()),
        ("started_micros", pa.int64()),
        ("has_failed", pa.bool_()),
        ("is_flaky", pa.bool_()),
    ]
)
"""Results of one job that ran to an end, in any order; starts are microseconds since 1970."""
EVENTS = {
    "broken_count": "breaks",
    "fixed_count": "ends",
    "stretch_count": "begins",
    "long_stretch_count": "is_second",
    "persistent_stretch_count": "is_third",
}
"""What is counted of a week, and the flag of the results that count."""
WEEKS = pa.schema(
    [
        ("job_key", pa.int64()),
        ("test_key", pa.int64()),
        ("week_date", pa.date32()),
        *((name, pa.int64()) for name in ("result_count", "passed_count", "failed_count", "flaky_count")),
        *((name, pa.int64()) for name in EVENTS),
        ("fix_seconds", pa.float64()),
        *((f"{run}_{part}", pa.int64()) for run in ("start", "good", "failed") for part in ("key", "micros")),
        *((name, pa.int64()) for name in ("good_before_count", "failed_since_count", "result_since_count")),
        ("is_failing", pa.bool_()),
    ]
)
"""A row per test and week. ``start`` is the run of the newest start of failing, ``good`` the run before it,
``failed`` the last failed run, each with its key and when it began; null where there is none."""
DAY_MICROS = 86_400_000_000
_OF_START = {"start_key", "start_micros", "good_key", "good_micros"}
_OF_START |= {"good_before_count", "failed_since_count", "result_since_count"}
_OF_FAILURE = {"failed_key", "failed_micros"}


@dataclass(frozen=True, slots=True)
class Sequences:
    """Results of tests, each test's in the order of its runs; all arrays have one element per result."""

    started: np.ndarray
    failed: np.ndarray
    reached: np.ndarray
    """The index of the test's first result within the days that are looked back to."""
    begins: np.ndarray
    """It failed, and the result before did not, or is too long ago to be known."""
    breaks: np.ndarray
    """It failed directly after a result that did not."""
    ends: np.ndarray
    """It did not fail, directly after a failure."""
    is_second: np.ndarray
    """It failed as the second in a row."""
    is_third: np.ndarray
    """It failed as the third in a row, after a result that did not."""

    @classmethod
    def of(cls, test: np.ndarray, started: np.ndarray, failed: np.ndarray) -> Sequences:
        """Return the sequences of results that are sorted by test, and by start in each."""
        reached = _first_in_reach(test, started)
        index = np.arange(len(test))

        def before(back: int) -> tuple[np.ndarray, np.ndarray]:
            """Return whether the result so far before is known, and whether it failed."""
            is_known = index - back >= reached
            return is_known, is_known & failed[np.maximum(index - back, 0)]

        (knows_one, failed_1), (_, failed_2), (knows_three, failed_3) = before(1), before(2), before(3)
        goes_on = failed & failed_1
        return cls(
            started=started,
            failed=failed,
            reached=reached,
            begins=failed & ~failed_1,
            breaks=failed & knows_one & ~failed_1,
            ends=~failed & failed_1,
            is_second=goes_on & ~failed_2,
            is_third=goes_on & failed_2 & knows_three & ~failed_3,
        )

    def failing_since(self) -> np.ndarray:
        """Return for each result that ends a stretch when that began: its first failure that is in reach."""
        begin = _newest(self.begins)
        first_failed = _next(self.failed)[self.reached]
        since: np.ndarray = self.started[np.where(begin >= self.reached, begin, first_failed)]
        return since

    def good_before(self) -> np.ndarray:
        """Return how many results in a row, right before each, did not fail, as far as one looks back."""
        last_failed = np.concatenate(([-1], _newest(self.failed)[:-1]))
        count: np.ndarray = np.arange(len(self.failed)) - np.maximum(last_failed + 1, self.reached)
        return count


def summarise_weeks(results: pa.Table) -> pa.Table:
    """Return the weeks (``WEEKS``) of results (``RESULTS``) of one job, by test and week.

    Of tests that never failed only the counts are looked at: they have no stretches.
    """
    if not len(results):
        return WEEKS.empty_table()
    given = {name: results[name].to_numpy() for name in RESULTS.names}
    failed, started = given["has_failed"], given["started_micros"]
    tests, test = np.unique(given["test_key"], return_inverse=True)
    week = (started // DAY_MICROS + 3) // 7  # 1970 began on a Thursday, weeks begin on Monday
    first_week = week.min()
    width = int(week.max() - first_week) + 1
    cell = test * width + week - first_week
    size = len(tests) * width
    total, failures, flakes = (
        np.bincount(cells, minlength=size) for cells in (cell, cell[failed], cell[given["is_flaky"]])
    )
    kept = np.flatnonzero(total)
    columns = {
        "job_key": np.full(len(kept), given["job_key"][0]),
        "test_key": tests[kept // width],
        "week_date": ((kept % width + first_week) * 7 - 3).astype(np.int32),
        "result_count": total[kept],
        "passed_count": (total - failures - flakes)[kept],
        "failed_count": failures[kept],
        "flaky_count": flakes[kept],
    }
    eventful = np.bincount(test[failed], minlength=len(tests)) > 0
    eventful[0] = True  # so that there is one
    chosen = np.flatnonzero(eventful[test])
    order = chosen[np.lexsort((given["run_key"][chosen], started[chosen], test[chosen]))]
    sequences = Sequences.of(test[order], started[order], failed[order])
    events = _describe(sequences, given["run_key"][order], cell[order])
    index = np.searchsorted(kept, events.pop("cell"))
    for name, values in events.items():
        columns[name] = np.zeros(len(kept), values.dtype)
        columns[name][index] = values
    has_start, has_failure = columns.pop("has_start"), columns.pop("has_failure")
    absent = dict.fromkeys(_OF_START, ~has_start) | dict.fromkeys(_OF_FAILURE, ~has_failure)
    arrays = [pa.array(columns[one.name], one.type, mask=absent.get(one.name)) for one in WEEKS]
    return pa.Table.from_arrays(arrays, schema=WEEKS)


def _describe(sequences: Sequences, run: np.ndarray, cell: np.ndarray) -> dict[str, np.ndarray]:
    """Return the events of each cell, a week of a test; results are in the order of cells."""
    began, failed = sequences.started, sequences.failed
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    after = np.append(first[1:], len(cell))
    fixed_after = np.where(sequences.ends, began - sequences.failing_since(), 0)
    good_before = sequences.good_before()
    start = _newest_of(sequences.breaks & (good_before >= MIN_GOOD_BEFORE), first)
    last_failed = _newest_of(failed, first)
    failures_until = np.concatenate(([0], np.cumsum(failed)))
    found = {
        "cell": cell[first],
        **{name: _sum_of(getattr(sequences, flag), first) for name, flag in EVENTS.items()},
        "fix_seconds": _sum_of(fixed_after, first) / 1e6,
        "has_start": start >= 0,
        "has_failure": last_failed >= 0,
        "good_before_count": good_before[start],
        "failed_since_count": failures_until[after] - failures_until[start],
        "result_since_count": after - start,
        "is_failing": failed[after - 1],
    }
    for name, index in (("start", start), ("good", np.maximum(start, 1) - 1), ("failed", last_failed)):
        found |= {f"{name}_key": run[index], f"{name}_micros": began[index]}
    return found


def _first_in_reach(test: np.ndarray, started: np.ndarray) -> np.ndarray:
    """Return for each result the index of the first of its test that is not too long before it."""
    times, when = np.unique(started, return_inverse=True)
    earliest = np.searchsorted(times, started - LOOKBACK_DAYS * DAY_MICROS)
    offset = test.astype(np.int64) * len(times)
    return np.searchsorted(offset + when, offset + earliest)


def _newest(flags: np.ndarray) -> np.ndarray:
    """Return for each index the last one up to it where the flag is set, -1 where there is none."""
    return np.maximum.accumulate(np.where(flags, np.arange(len(flags)), -1))


def _next(flags: np.ndarray) -> np.ndarray:
    """Return for each index the first one from it on where the flag is set; the last index where none is."""
    indexes = np.where(flags, np.arange(len(flags)), len(flags) - 1)
    following: np.ndarray = np.minimum.accumulate(indexes[::-1])[::-1]
    return following


def _newest_of(flags: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the last index in each group where the flag is set, -1 where there is none."""
    newest: np.ndarray = np.maximum.reduceat(np.where(flags, np.arange(len(flags)), -1), first)
    return newest


def _sum_of(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the sum of the values of each group."""
    total: np.ndarray = np.add.reduceat(values.astype(np.int64), first)
    return total
