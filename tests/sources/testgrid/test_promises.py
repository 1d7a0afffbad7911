"""A reply with status 200 is compared with what the summary promises and with the reply before it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.support.grids import make_table

from cilake.landing.envelope import Fetch, StoredContent
from cilake.sources.testgrid.parse import read_table
from cilake.sources.testgrid.promises import (
    Promise,
    compare_table,
    compare_unmodified,
    find_unlisted,
    read_promise,
)

SERVED = datetime(2021, 6, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def table_of(*starts):
    """A decoded table with a run at each of the moments, newest first."""
    stamps = [int(start.timestamp() * 1000) for start in starts]
    return read_table(make_table({"Overall": [1] * len(starts)}) | {"timestamps": stamps}, served_at=SERVED)


def known_of(*served, content="a"):
    return StoredContent(tuple(Fetch(at, content, True, at.date(), at) for at in served))


@pytest.mark.parametrize(
    ("entry", "promise"),
    [
        ({}, Promise()),
        ({"last_run_timestamp": 0, "last_update_timestamp": 0}, Promise()),
        ({"last_run_timestamp": 1624622400}, Promise(last_run_at=SERVED)),
        ({"last_run_timestamp": 1624622400000}, Promise(last_run_at=SERVED)),
        ({"last_update_timestamp": 1624622400}, Promise(updated_at=SERVED)),
        ({"status": "6 of 9 (66.7%) recent columns passed (1 of 2 or 50.0% cells)"}, Promise(column_count=9)),
        ({"overall_status": "STALE"}, Promise(is_marked_stale=True)),
        ({"overall_status": "FAILING"}, Promise()),
        ({"status": "", "last_run_timestamp": "soon", "last_update_timestamp": None}, Promise()),
        ({"last_run_timestamp": 10**30, "last_update_timestamp": -5, "status": 7}, Promise()),
        ({"last_run_timestamp": True, "last_update_timestamp": float("nan")}, Promise()),
        ({"last_run_timestamp": [1], "last_update_timestamp": {}, "status": ["1 of 2 "]}, Promise()),
    ],
)
def test_what_a_summary_promises(entry, promise):
    assert read_promise(entry) == promise


@pytest.mark.parametrize(
    ("promise", "note"),
    [
        (Promise(), ""),
        (Promise(updated_at=SERVED - 20 * HOUR), ""),
        (Promise(updated_at=SERVED - 25 * HOUR), "stale: by the summary not updated since 2021-06-24 11:00"),
        (Promise(last_run_at=SERVED - 2.5 * HOUR), ""),
        (
            Promise(last_run_at=SERVED),
            "stale: its newest run began 2021-06-25 09:00, by the summary 2021-06-25 12:00",
        ),
    ],
)
def test_a_table_is_stale_where_the_summary_promises_more(promise, note):
    kept = compare_table(promise, table_of(SERVED - 3 * HOUR), SERVED, None)
    assert (kept.is_stale, kept.gap_hours, kept.note) == (bool(note), None, note)


def test_a_table_without_columns_is_stale_where_the_summary_counts_some():
    kept = compare_table(Promise(column_count=9), table_of(), SERVED, None)
    assert kept.is_stale
    assert kept.note == "stale: 0 columns, where the summary counts 9 recent ones"
    assert not compare_table(Promise(), table_of(), SERVED, None).is_stale


def test_a_table_that_begins_after_the_reply_before_it_has_a_gap():
    table = table_of(SERVED - HOUR, SERVED - 3 * HOUR)
    assert compare_table(Promise(), table, SERVED, known_of(SERVED - 2 * HOUR)).gap_hours is None
    gap = compare_table(Promise(), table, SERVED, known_of(SERVED - 30 * HOUR, SERVED - 9 * HOUR))
    assert (gap.is_stale, gap.gap_hours) == (False, 6.0)
    assert gap.note == "gap: its oldest run began 2021-06-25 09:00, the last reply was 2021-06-25 03:00"
    later = compare_table(Promise(), table, SERVED, known_of(SERVED + HOUR))
    assert later.gap_hours is None, "a later reply says nothing about what was before"


def test_an_unmodified_table_is_stale_when_a_run_began_since_it_was_first_shown():
    known = known_of(SERVED - 20 * HOUR, SERVED - 10 * HOUR)
    kept = compare_unmodified(Promise(last_run_at=SERVED - 5 * HOUR), SERVED, known, "a")
    assert kept.note == "stale: unchanged since 2021-06-24 16:00, by the summary a run began 2021-06-25 07:00"
    assert not compare_unmodified(Promise(last_run_at=SERVED - 20 * HOUR), SERVED, known, "a").is_stale
    assert compare_unmodified(Promise(updated_at=SERVED - 48 * HOUR), SERVED, None, "a").is_stale


def test_what_was_obtained_in_the_week_before_is_looked_for():
    day = date(2021, 6, 25)
    at = {"d/new": 0, "d/yesterday": 1, "d/week": 7, "d/old": 8, "e/yesterday": 1, "d/listed": 1}
    known = {name: known_of(SERVED - timedelta(days=days)) for name, days in at.items()}
    assert find_unlisted(["d/listed"], known, "d/", day) == ["d/new", "d/week", "d/yesterday"]
