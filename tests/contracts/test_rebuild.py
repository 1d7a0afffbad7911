"""Which periods are made again when rows of some days change, and from which days they follow."""

from datetime import date, timedelta

import pytest

from cilake.contracts.rebuild import by_day, by_week

WEDNESDAY = date(2021, 6, 23)
RULES = [
    by_day("run_date"),
    by_day("run_date", lookback_days=3),
    by_week("week_date"),
    by_week("week_date", lookback_days=14),
    by_day("run_date", lookahead_days=3),
    by_day("run_date", lookback_days=2, lookahead_days=1),
    by_day("run_date", lookback_days=2, lookahead_days=1, about=("a.b",)),
]


def test_a_day_affects_its_own_week_and_those_that_look_back_on_it():
    assert by_week("week_date").affected_by([date(2021, 6, 27), date(2021, 7, 1), date(2021, 6, 21)]) == [
        date(2021, 6, 21),
        date(2021, 6, 28),
    ]
    assert by_week("week_date", lookback_days=14).affected_by([WEDNESDAY]) == [
        date(2021, 6, 21),
        date(2021, 6, 28),
        date(2021, 7, 5),
    ]


def test_a_day_affects_itself_and_the_days_that_look_back_on_it():
    assert by_day("run_date").affected_by([WEDNESDAY]) == [WEDNESDAY]
    assert by_day("run_date", lookback_days=2).affected_by([WEDNESDAY]) == [
        WEDNESDAY + timedelta(days=n) for n in range(3)
    ]
    assert by_day("run_date").affected_by([]) == []


@pytest.mark.parametrize("source", ["", "a.b"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_periods_are_affected_by_exactly_the_days_that_they_reach(rule, source):
    days = [WEDNESDAY + timedelta(days=n) for n in range(-40, 40)]
    for period in rule.affected_by([WEDNESDAY], source):
        assert WEDNESDAY in rule.reach_of([period], source)
        for day in days:
            assert (period in rule.affected_by([day], source)) is (day in rule.reach_of([period], source))


def test_of_what_the_rows_are_about_only_their_own_day_counts():
    rule = by_day("run_date", lookback_days=2, about=("a.b",))
    assert rule.affected_by([WEDNESDAY], "a.b") == [WEDNESDAY]
    assert rule.reach_of([WEDNESDAY], "a.b") == {WEDNESDAY}
