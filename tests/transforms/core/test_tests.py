"""Tests: distinct exact names, only the new ones."""

import pytest
from tests.support.builders import make_frame
from tests.support.collisions import colliding_names
from tests.support.decoded import decode, rows_of
from tests.support.grids import make_table

from cilake.contracts.core.tests import TABLE
from cilake.sources.keys import hash_name
from cilake.transforms.core import tests
from cilake.transforms.engines import DuckEngine
from cilake.transforms.words import RESULTS_OF_TESTS

pytestmark = pytest.mark.spark


def test_names_are_kept_exactly_and_once(spark):
    decoded = decode(spark, make_table({"a": [1], " a": [1]}), make_table({"a": [1], "A": [1]}, job="other"))
    found = tests.transform(decoded, make_frame(spark, TABLE, []))
    assert sorted(row.test_name for row in found.collect()) == [" a", "A", "a"]


def test_verdict_rows_are_marked_and_left_out(spark):
    rows = ["Overall", "e2e-aws.Overall", "Pod", "e2e-aws.Pod", "Overall health", "[sig] Pod", "overall"]
    found = tests.transform(
        decode(spark, make_table({name: [1] for name in rows})), make_frame(spark, TABLE, [])
    )
    assert {row.test_name for row in found.collect() if row.is_verdict} == set(rows[:4])
    results = DuckEngine().sql(
        f"SELECT * FROM {RESULTS_OF_TESTS}",
        tests=found.toArrow(),
        test_results=found.select("test_key").toArrow(),
    )
    assert results.num_rows == 3


def test_a_name_without_any_result_is_no_test_yet(spark):
    decoded = decode(spark, make_table({"a": [1, 0], "never": [0, 0]}))
    found = tests.transform(decoded, make_frame(spark, TABLE, []))
    assert [row.test_name for row in found.collect()] == ["a"]


@pytest.fixture(scope="module")
def collided(spark):
    """A name landed at midnight, and an hour later, in another tab, another one that has its key."""
    honest, hostile = sorted(colliding_names(), reverse=True)
    first = decode(spark, make_table({"Overall": [1], honest: [1]}, job="honest"))
    later = decode(
        spark, make_table({"Overall": [12], hostile: [12], "b": [3]}, job="hostile"), served_hour=1
    )
    return honest, hostile, first, later


def test_the_name_that_was_there_first_keeps_its_key(spark, collided):
    honest, hostile, first, later = collided
    published = tests.transform(first, make_frame(spark, TABLE, []))
    for known, decoded in ((published, later), (make_frame(spark, TABLE, []), first.unionByName(later))):
        names = {row.test_name for row in tests.transform(decoded, known).unionByName(known).collect()}
        assert names == {"Overall", honest, "b"}
        (reject,) = tests.collisions(decoded, known).collect()
        assert (reject.test_name, reject.holder_name, reject.test_key) == (hostile, honest, hash_name(honest))
        assert (reject.origin, reject.natural_id) == ("2021-06-25|1|0", "dashboard/tab-0")
        assert reject.reason == f"taken_test_key: {hash_name(honest)} is the key of {honest}"


def test_results_of_a_name_whose_key_is_taken_are_left_out(spark, collided):
    _, _, first, later = collided
    both = first.unionByName(later)
    found = tests.collisions(both, make_frame(spark, TABLE, []))
    left = {row.job_name: row for row in tests.leave_out_collisions(both, found).collect()}
    before = {row.job_name: row for row in both.collect()}
    assert left["honest"] == before["honest"]
    run = left["hostile"]
    assert set(run.test_keys) == {hash_name("Overall"), hash_name("b")}
    assert sorted(run.codes) == [3, 12] and len(run.messages) == 2
    counts = (run.result_count, run.test_count, run.failed_count, run.passed_count)
    assert counts == (2, 1, 0, 0), "the verdict and the skipped test"
    assert before["hostile"].failed_count == 1


def test_without_collisions_nothing_is_left_out(spark, collided):
    _, _, first, _ = collided
    found = tests.collisions(first, make_frame(spark, TABLE, []))
    assert found.count() == 0
    assert rows_of(tests.leave_out_collisions(first, found)) == rows_of(first)


def test_running_twice_adds_nothing(spark):
    decoded = decode(spark, make_table({"a": [1]}))
    published = tests.transform(decoded, make_frame(spark, TABLE, []))
    assert tests.transform(decoded, published).count() == 0


def test_no_payload_no_rows(spark):
    assert tests.transform(decode(spark), make_frame(spark, TABLE, [])).count() == 0
