"""Failing stretches of tests: counts of results, flips and stretches, week by week."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cilake.contracts.kpi.weekly_test_health import LOOKBACK_DAYS, MIN_GOOD_BEFORE
from cilake.transforms.stretches import RESULTS, WEEKS, summarise_weeks

MONDAY = date(2021, 6, 21)
JOB, TEST = 7, -3
# Vectors of TestGrid's flip rate, without cells that did not run: statuses in time, percent of flips.
FLIP_VECTORS = [
    ([1, 1, 1], 0),
    ([1, 12, 1, 1, 13, 1, 1, 1, 1, 12], 30),
    ([1, 12, 12, 1, 1, 1, 1, 12, 1, 1], 20),
    ([1, 12, 12, 13, 12, 12, 1, 12, 1, 12], 50),
    ([1, 12, 12, 12, 1], 0),
    ([12, 12, 12, 12, 1], 0),
    ([12, 12, 12, 12, 12], 0),
    ([13, 13, 13], 100),
    ([1, 12] * 5, 50),
    ([1] * 5 + [1, 12] * 8 + [1] * 3, 100 * 8 / 24),
]


def micros(instant):
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def table(results):
    """Results from (test, run, start, code)."""
    rows = [(JOB, test, run, micros(at), code == 12, code == 13) for test, run, at, code in results]
    return pa.Table.from_pylist([dict(zip(RESULTS.names, row, strict=True)) for row in rows], schema=RESULTS)


def weeks_of(codes, *, weeks=(MONDAY,), first=None, step=timedelta(hours=6), starts=None):
    """The weeks from a test's codes in time, as far as the weeks reach; runs are numbered from 100 on."""
    first = first or datetime(2021, 6, 21, tzinfo=UTC)
    starts = starts or [first + number * step for number in range(len(codes))]
    reach = min(weeks) - timedelta(days=LOOKBACK_DAYS)
    results = [
        (TEST, 100 + number, at, code)
        for number, (at, code) in enumerate(zip(starts, codes, strict=True))
        if at.date() >= reach
    ]
    return {
        row["week_date"]: row
        for row in summarise_weeks(table(results)).to_pylist()
        if row["week_date"] in weeks
    }


def week_of(codes, **options):
    (row,) = weeks_of(codes, **options).values()
    return row


def pick(row, *names):
    return tuple(row[name] for name in names)


@pytest.mark.parametrize(("codes", "flip_percent"), FLIP_VECTORS, ids=str)
def test_flip_rate_is_that_of_testgrid(codes, flip_percent):
    row = week_of(codes)
    flips = row["flaky_count"] + row["broken_count"] - row["persistent_stretch_count"]
    assert row["result_count"] == len(codes)
    assert 100 * flips / row["result_count"] == pytest.approx(flip_percent)


def test_stretches_fixes_and_the_last_failure():
    row = week_of([1, 12, 12, 1, 12, 12, 13, 12])
    assert pick(row, "result_count", "passed_count", "failed_count", "flaky_count") == (8, 2, 5, 1)
    counts = ("stretch_count", "long_stretch_count", "broken_count", "fixed_count")
    assert pick(row, *counts) == (3, 2, 3, 2)
    assert row["fix_seconds"] == (2 + 2) * 6 * 3600, "from the first failure to the result that ends it"
    assert row["failed_key"] == 107


def test_the_newest_start_of_failing_with_what_was_good_before_it():
    row = week_of([12, *[1] * 5, 13, 12, 12, 1, 12, 1, 12, 12])
    assert pick(row, "start_key", "good_key") == (107, 106), (
        "what broke after one good result did not start to fail there"
    )
    assert pick(row, "good_before_count", "failed_since_count", "result_since_count") == (6, 5, 7)
    assert row["start_micros"] - row["good_micros"] == 6 * 3600 * 1_000_000
    assert row["is_failing"]


@pytest.mark.parametrize(
    ("codes", "is_failing"), [([12, 12], True), ([*[1] * 6, 13], False), ([*[1] * 4, 12], True)], ids=str
)
def test_a_test_that_never_started_failing_says_nothing_of_it(codes, is_failing):
    row = week_of(codes)
    columns = ("start_key", "start_micros", "good_key", "good_before_count", "failed_since_count")
    assert pick(row, *columns) == (None,) * 5
    assert row["is_failing"] is is_failing


def test_what_was_good_before_is_counted_as_far_as_one_looks_back():
    options = {"first": datetime(2021, 6, 1, 5, tzinfo=UTC), "step": timedelta(days=1)}
    row = week_of([1] * 22 + [12], **options)
    assert row["good_before_count"] == LOOKBACK_DAYS
    weeks = [MONDAY - timedelta(days=7), MONDAY]
    assert weeks_of([1] * 22 + [12], weeks=weeks, **options)[MONDAY] == row


def test_a_week_continues_what_the_weeks_before_it_began():
    before_it = MONDAY - timedelta(days=7)
    options = {"first": datetime(2021, 6, 19, tzinfo=UTC), "step": timedelta(days=1)}
    both = weeks_of([1, 12, 12, 1], weeks=[before_it, MONDAY], **options)
    counts = ("broken_count", "long_stretch_count", "fixed_count")
    assert pick(both[before_it], *counts) == (1, 0, 0)
    assert pick(both[MONDAY], *counts) == (0, 1, 1)
    assert both[MONDAY]["fix_seconds"] == 2 * 86400
    assert week_of([1, 12, 12, 1], **options) == both[MONDAY], "a week alone equals the week with others"


@pytest.mark.parametrize("codes", [[1, *[12] * 38, 1], [12, 1, *[12] * 19, *[1] * 9, *[12] * 9, 1]], ids=len)
def test_a_long_stretch_is_the_same_whatever_is_built_with_the_week(codes):
    weeks = [MONDAY + timedelta(days=7 * number) for number in range(6)]
    options = {"first": datetime(2021, 6, 21, 5, tzinfo=UTC), "step": timedelta(days=1)}
    together = weeks_of(codes, weeks=weeks, **options)
    assert together == {week: week_of(codes, weeks=[week], **options) for week in together}
    longest = max(row["fix_seconds"] for row in together.values())
    assert longest == LOOKBACK_DAYS * 86400, "counted as far as one looks back"


@pytest.mark.parametrize(
    ("codes", "at_once", "good_before"),
    [
        ([1] * 5 + [1, 12], 2, 6),
        ([1] * 5 + [12, 1, 12], 3, None),
        ([1] * 5 + [1, 1, 12], 3, 7),
        ([1, 12, 1, 12], 4, None),
    ],
    ids=["passed and failed", "failed, passed and failed", "passed twice and failed", "all at once"],
)
def test_runs_of_one_instant_are_ordered_by_their_keys(codes, at_once, good_before):
    """Runs of a matrix start together: the last ``at_once`` of these have one start."""
    first = datetime(2021, 6, 21, tzinfo=UTC)
    starts = [first + timedelta(hours=min(number, len(codes) - at_once)) for number in range(len(codes))]
    row = week_of(codes, starts=starts)
    if good_before:
        assert pick(row, "start_key", "good_key") == (99 + len(codes), 98 + len(codes))
        assert row["good_before_count"] == good_before
    else:
        assert row["start_key"] in (None, 105) and row["is_failing"]


def test_a_stretch_that_ends_where_another_begins_has_its_own_length():
    """It failed at 0 and 1 o'clock; at 2 three runs started together: passed, failed, passed."""
    starts = [datetime(2021, 6, 21, hour, tzinfo=UTC) for hour in (0, 1, 2, 2, 2)]
    row = week_of([12, 12, 1, 12, 1], starts=starts)
    assert (row["fixed_count"], row["fix_seconds"]) == (2, 2 * 3600), "one of two hours, one of none"


def test_no_result_no_week():
    assert summarise_weeks(table([])) == WEEKS.empty_table()


# ---- the same by a plain loop


def plainly(results):
    """The weeks of results by the words of the contract, one result after the other."""
    weeks = {}
    for test in {result[0] for result in results}:
        known = sorted((at, run, code) for one, run, at, code in results if one == test)
        for index, (at, run, code) in enumerate(known):
            week = weeks.setdefault((test, at.date() - timedelta(days=at.weekday())), [])
            reach = [one for one in known[:index] if one[0] >= at - timedelta(days=LOOKBACK_DAYS)]
            week.append((at, run, code, reach))
    return {key: describe(week) for key, week in weeks.items()}


def describe(week):
    counted = {"stretch_count": 0, "broken_count": 0, "fixed_count": 0, "long_stretch_count": 0}
    counted |= {"persistent_stretch_count": 0, "start_key": None, "failed_key": None}
    counted |= dict.fromkeys(("good_before_count", "failed_since_count", "result_since_count"))
    fixes = timedelta(0)  # seconds with a fraction do not add up exactly
    for at, run, code, reach in week:
        before = [one[2] == 12 for one in reversed(reach)]
        streak = next((n for n, failed in enumerate(before) if not failed), len(before))
        if code != 12:
            if streak:
                counted["fixed_count"] += 1
                fixes += at - reach[-streak][0]
        else:
            counted["failed_key"] = run
            counted["stretch_count"] += streak == 0
            counted["broken_count"] += streak == 0 and bool(before)
            counted["long_stretch_count"] += streak == 1
            counted["persistent_stretch_count"] += streak == 2 and len(before) > 2
            good = next((n for n, failed in enumerate(before) if failed), len(before))
            if good >= MIN_GOOD_BEFORE:
                counted |= {"start_key": run, "good_before_count": good}
                counted |= {"failed_since_count": 0, "result_since_count": 0}
        if counted["start_key"] is not None:
            counted["failed_since_count"] += code == 12
            counted["result_since_count"] += 1
    codes = [code for _, _, code, _ in week]
    counted |= {"result_count": len(codes), "passed_count": codes.count(1), "is_failing": codes[-1] == 12}
    counted["fix_seconds"] = fixes.total_seconds()
    return counted | {"failed_count": codes.count(12), "flaky_count": codes.count(13)}


GAPS = [timedelta(0), timedelta(0), timedelta(microseconds=1), timedelta(hours=7), timedelta(days=3)]
GAPS += [timedelta(days=LOOKBACK_DAYS), timedelta(days=LOOKBACK_DAYS, microseconds=1)]
STEPS = st.lists(st.tuples(st.sampled_from(GAPS), st.sampled_from([1, 1, 1, 12, 12, 13])), max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=3), st.integers(0, 2**32))
@example([[(GAPS[0], 12), (GAPS[2], 12), (GAPS[0], 1), (GAPS[4], 12), (GAPS[2], 1)]], 0)
def test_every_sequence_is_summarised_as_one_would_by_hand(tests, seed):
    results = []
    random = Random(seed)
    for test, steps in enumerate(tests):
        at = datetime(2021, 6, 1, tzinfo=UTC)
        for gap, code in steps:
            at += gap
            results.append((test, random.randrange(-(2**63), 2**63), at, code))
    random.shuffle(results)
    found = {(row["test_key"], row["week_date"]): row for row in summarise_weeks(table(results)).to_pylist()}
    expected = plainly(results)
    assert {key: {name: found[key][name] for name in row} for key, row in expected.items()} == expected
    assert found.keys() == expected.keys()
