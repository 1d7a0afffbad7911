"""What a read means, checked before anything is read."""

from datetime import UTC, date, datetime, timedelta, timezone
from string import Formatter

import numpy as np
import pandas as pd
import pytest

from cilake.client import query, verbs
from cilake.client.query import (
    LakeError,
    check_columns,
    check_limit,
    day_filter,
    find_table,
    instant,
)
from cilake.contracts import registry

RESULTS = registry.table("core.test_results")
ACCURACY = registry.table("predictions.accuracy")
TESTS = registry.table("core.tests")


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("core.test_result", "core.test_results"),
        ("test_results", "core.test_results"),
        ("raw.tests", "core.tests"),
    ],
)
def test_an_unknown_table_names_the_nearest(asked, nearest):
    with pytest.raises(LakeError, match=rf"no table '{asked}' \(nearest: .*{nearest}"):
        find_table(asked)


def test_an_unknown_table_like_no_other_says_where_they_are_listed():
    with pytest.raises(LakeError) as caught:
        find_table("zzz")
    assert str(caught.value) == "no table 'zzz': lake.tables() lists them all"


def test_columns():
    assert check_columns(RESULTS, None) == tuple(RESULTS.column_names)
    assert check_columns(RESULTS, ["message", "run_key"]) == ("message", "run_key")
    assert check_columns(RESULTS, "message") == ("message",)
    with pytest.raises(LakeError, match=r"no column 'status' \(nearest: .*test_status"):
        check_columns(RESULTS, ["run_key", "status"])


def test_days_become_a_condition_on_the_column_of_the_partitions():
    assert (RESULTS.day_column, ACCURACY.day_column, TESTS.day_column) == (
        "run_date",
        "prediction_date",
        None,
    )
    assert day_filter(RESULTS, None, None) == ""
    assert day_filter(RESULTS, "2021-06-01", None) == "run_date >= '2021-06-01'"
    both = day_filter(RESULTS, date(2021, 6, 1), datetime(2021, 6, 2, tzinfo=UTC))
    assert both == "run_date >= '2021-06-01' and run_date < '2021-06-02'"


@pytest.mark.parametrize(
    "day", ["2021-06-01", date(2021, 6, 1), pd.Timestamp("2021-06-01"), "2021-06-01T00:00"], ids=str
)
def test_a_day_may_come_from_a_frame(day):
    assert day_filter(RESULTS, day, None) == "run_date >= '2021-06-01'"


WITHIN = "`start` takes whole days"
NO_DAY = "`start` takes a day, YYYY-MM-DD"


@pytest.mark.parametrize(
    ("table", "start", "end", "message"),
    [
        (TESTS, "2021-06-01", None, "has no day to start or end at: leave `start` and `end` out"),
        (RESULTS, "2021-06-02", "2021-06-02", "empty range 2021-06-02 to 2021-06-02: `end` is exclusive"),
        (RESULTS, "2021-06-02", "2021-06-01", "empty range 2021-06-02 to 2021-06-01: `end` is exclusive"),
        (RESULTS, "2021-6-2", None, NO_DAY),
        (RESULTS, "2021-06-02' or 1=1 --", None, NO_DAY),
        (RESULTS, pd.NaT, None, NO_DAY),
        (RESULTS, np.datetime64("2021-06-02"), None, NO_DAY),
        (RESULTS, 20210602, None, NO_DAY),
        (RESULTS, "2021-06-02T12:00", None, WITHIN),
        (RESULTS, datetime(2021, 6, 2, 5, tzinfo=UTC), None, WITHIN),
        (RESULTS, datetime(2021, 6, 2, tzinfo=timezone(timedelta(hours=2))), None, WITHIN),
        (RESULTS, None, pd.Timestamp("2021-06-02 00:00:01"), "`end` takes whole days"),
    ],
)
def test_days_that_mean_nothing_are_refused(table, start, end, message):
    with pytest.raises(LakeError, match=message):
        day_filter(table, start, end)


def test_as_of_a_day_is_its_end_and_an_instant_without_zone_is_utc():
    assert instant("2021-06-21") == datetime(2021, 6, 21, 23, 59, 59, 999000, tzinfo=UTC)
    assert instant(date(2021, 6, 21)) == instant("2021-06-21")
    assert instant("2021-06-21T10:00:00") == datetime(2021, 6, 21, 10, tzinfo=UTC)
    assert instant("2021-06-21T10:00:00+02:00") == datetime(2021, 6, 21, 8, tzinfo=UTC)


def test_an_as_of_in_the_future_is_refused():
    today = datetime.now(UTC).date()
    assert instant(today).date() == today
    for later in (
        today + timedelta(days=1),
        datetime.now(UTC) + timedelta(days=2),
        "9999-12-31",
        "9999-12-31T23:59:59-12:00",
    ):
        with pytest.raises(LakeError, match="is in the future"):
            instant(later)


@pytest.mark.parametrize("as_of", ["yesterday", "2021-6-2", "2021-06-21T25:00", pd.NaT, 20210602], ids=str)
def test_an_as_of_that_is_no_instant_is_refused(as_of):
    with pytest.raises(LakeError, match="is neither a day nor an instant: `as_of` takes YYYY-MM-DD or"):
        instant(as_of)


def test_a_limit_is_a_positive_integer():
    assert (check_limit(None), check_limit(1), check_limit(np.int64(5))) == (None, 1, 5)
    for limit in (0, -1, 1.5, "3"):
        with pytest.raises(LakeError, match="is not a number of rows: `limit` is at least 1"):
            check_limit(limit)


def test_both_front_ends_word_every_hint_with_the_same_facts():
    def facts(hints):
        return {
            key: {name for _, name, _, _ in Formatter().parse(text) if name} for key, text in hints.items()
        }

    assert set(query.HINTS) == set(verbs.HINTS)
    for key, named in facts(verbs.HINTS).items():
        assert named == facts(query.HINTS)[key], key
    for text in verbs.HINTS.values():
        assert "lake." not in text.replace("reader.env", "") and "`end`" not in text and "as_of" not in text
