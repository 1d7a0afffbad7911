"""Jobs seen only through tabs that the landing did not obtain."""

import pytest

from cilake.models.obtained import jobs_not_obtained, judge_requests

ONE, OTHER = ("testgrid", "d/one"), ("testgrid", "d/other")


@pytest.mark.parametrize(
    ("requests", "is_lost"),
    [
        ([("landed", False)], False),
        ([("unchanged", False)], False),
        ([("missing", False)], True),
        ([("rejected", False)], True),
        ([("unlisted", False)], True),
        ([("landed", True)], True),
        ([("unchanged", True)], True),
        ([("missing", False), ("landed", False)], False),
        ([("landed", False), ("missing", False)], False),
        ([("missing", False), ("landed", True)], True),
    ],
)
def test_a_tab_is_obtained_by_one_good_request(requests, is_lost):
    landing = judge_requests((ONE, *request) for request in requests)
    assert (landing.lost, landing.obtained) == ({ONE} if is_lost else set(), set() if is_lost else {ONE})


@pytest.mark.parametrize(
    ("tabs", "abstains"),
    [
        ([ONE], True),
        ([OTHER], False),
        ([ONE, OTHER], False),
        ([ONE, ("testgrid", "d/left out")], True),
        ([("testgrid", "d/left out")], False),
        ([("prow", "d/one")], False),
    ],
)
def test_a_job_is_not_obtained_when_nothing_that_shows_it_is(tabs, abstains):
    landing = judge_requests([(ONE, "missing", False), (OTHER, "landed", False)])
    assert jobs_not_obtained(landing, ((7, tab) for tab in tabs)) == ({7} if abstains else set())


def test_a_night_without_requests_says_nothing():
    assert jobs_not_obtained(judge_requests([]), [(7, ONE)]) == set()
