"""Listings of builds: what is read of them, and which builds are refused."""

from datetime import UTC, datetime

import orjson
import pytest
from tests.sources.example_ci.test_conformance import build

from cilake.sources.errors import UnreadableError
from cilake.sources.example_ci.parse import describe, read_builds

SERVED = datetime(2021, 6, 25, tzinfo=UTC)


def read(*builds):
    return read_builds({"builds": list(builds)}, SERVED)


def test_a_build_is_a_run_with_its_results():
    tests = [{"name": "b", "status": "failed", "message": "3 is not 4"}]
    (run,) = read(build(1, "failed", tests=tests)).runs.to_pylist()
    assert (run["job_name"], run["build_id"], run["ci_instance"]) == ("unit", "1", "example_ci")
    assert run["started_at"] == datetime(2021, 6, 21, 10, tzinfo=UTC)
    assert (run["result_code"], run["failed_count"], run["messages"]) == (12, 1, ["3 is not 4"])
    assert run["test_names"] == ["b"]


def test_skipped_tests_are_neither_passed_nor_failed():
    (run,) = read(build(1)).runs.to_pylist()
    assert (run["test_count"], run["passed_count"], run["failed_count"]) == (2, 1, 0)


def test_the_first_run_names_the_tests_of_all():
    first, second = read(build(0), build(1, tests=[{"name": "new", "status": "passed"}])).runs.to_pylist()
    assert first["test_names"] == ["adds up", "other", "new"] and second["test_names"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"build": 7}, "malformed_build: TypeError: 7 is no text"),
        ({"build": " "}, "no_build_id"),
        ({"started_at": "2021-06-21T10:00:00"}, "has no zone"),
        ({"started_at": "2031-06-21T10:00:00Z"}, "implausible_start"),
        ({"status": "great"}, "malformed_build: KeyError"),
        ({"started_at": "9999-12-31T23:59:59-12:00"}, "malformed_build: OverflowError"),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, "malformed_build: OverflowError"),
        ({"tests": [{"name": "", "status": "passed"}]}, "blank_test_name"),
        ({"tests": [{"name": "a", "status": "passed"}] * 2}, "repeated_test_name"),
        ({"url": 3}, "is no text"),
    ],
)
def test_a_build_that_breaks_a_rule_is_refused_and_the_others_are_read(change, reason):
    decoded = read(build(1), build(2, **change))
    assert decoded.runs.num_rows == 1
    (reject,) = decoded.rejects
    assert reason in reject.reason


def test_a_build_that_is_shown_twice_is_refused():
    decoded = read(build(1), build(1, "failed"), build(2))
    assert decoded.runs["build_id"].to_pylist() == ["2"]
    assert {reject.reason for reject in decoded.rejects} == {"repeated_build_id: 2 runs of this build"}


def test_a_status_or_message_that_changes_makes_another_content():
    tests = [{"name": "a", "status": "failed", "message": "one"}]
    other = [{"name": "a", "status": "failed", "message": "two"}]
    hashes = [
        read(one).runs["content_hash"][0].as_py()
        for one in (build(1), build(1, "failed"), build(1, tests=tests), build(1, tests=other))
    ]
    assert len(set(hashes)) == 4


def test_what_is_no_listing_is_unreadable():
    with pytest.raises(UnreadableError, match="not_a_listing"):
        read_builds({"builds": {}}, SERVED)
    described = describe(orjson.dumps({"builds": [build(1), build(2, build=None)]}))
    assert (described["run_count"], described["refused_count"]) == (1, 1)
