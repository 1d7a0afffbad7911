"""What a read means, checked before anything is read."""

from datetime import UTC, date, datetime

import pytest

from cilake.client.query import LakeError, check_columns, day_column, day_filter, find_table, instant
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
    assert str(caught.value) == "no table 'zzz'; lake.tables() lists them all"


def test_columns():
    assert check_columns(RESULTS, None) == tuple(RESULTS.column_names)
    assert check_columns(RESULTS, ["message", "run_key"]) == ("message", "run_key")
    assert check_columns(RESULTS, "message") == ("message",)
    with pytest.raises(LakeError, match=r"no column 'status' \(nearest: .*test_status"):
        check_columns(RESULTS, ["run_key", "status"])


def test_days_become_a_condition_on_the_column_of_the_partitions():
    assert (day_column(RESULTS), day_column(ACCURACY), day_column(TESTS)) == (
        "run_date",
        "prediction_date",
        None,
    )
    assert day_filter(RESULTS, None, None) == ""
    assert day_filter(RESULTS, "2021-06-01", None) == "run_date >= '2021-06-01'"
    both = day_filter(RESULTS, date(2021, 6, 1), datetime(2021, 6, 2, 5, tzinfo=UTC))
    assert both == "run_date >= '2021-06-01' and run_date < '2021-06-02'"


@pytest.mark.parametrize(
    ("table", "start", "end", "message"),
    [
        (TESTS, "2021-06-01", None, "has no day"),
        (RESULTS, "2021-06-02", "2021-06-02", "end is the first day left out"),
        (RESULTS, "2021-6-2", None, "expected YYYY-MM-DD"),
        (RESULTS, "2021-06-02' or 1=1 --", None, "expected YYYY-MM-DD"),
    ],
)
def test_days_that_mean_nothing_are_refused(table, start, end, message):
    with pytest.raises((LakeError, ValueError), match=message):
        day_filter(table, start, end)


def test_as_of_a_day_is_its_end_and_an_instant_without_zone_is_utc():
    assert instant("2021-06-21") == datetime(2021, 6, 21, 23, 59, 59, 999000, tzinfo=UTC)
    assert instant(date(2021, 6, 21)) == instant("2021-06-21")
    assert instant("2021-06-21T10:00:00") == datetime(2021, 6, 21, 10, tzinfo=UTC)
    assert instant("2021-06-21T10:00:00+02:00") == datetime(2021, 6, 21, 8, tzinfo=UTC)
