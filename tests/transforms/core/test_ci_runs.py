"""Runs: what counts as changed, which content wins, and that repeating changes nothing."""

import pytest
from tests.builders import make_frame
from tests.decoded import decode, rows_of
from tests.grids import make_table

from cilake.contracts.core.ci_runs import TABLE
from cilake.transforms.core import ci_runs

pytestmark = pytest.mark.spark
RUNNING = make_table({"Overall": [4, 1], "a": [0, 12]})
FINAL = make_table({"Overall": [12, 1], "a": [12, 12]})


def build(decoded, published):
    return ci_runs.transform(ci_runs.select_newest(ci_runs.mark_changed(decoded, published)))


@pytest.fixture
def nothing(spark):
    return make_frame(spark, TABLE, [])


def test_counts_and_verdict(spark, nothing):
    runs = {r.build_id: r for r in build(decode(spark, FINAL), nothing).collect()}
    newest = runs["1002"]
    assert (newest.result, newest.result_count) == ("failed", 2)
    assert (newest.test_count, newest.failed_count, newest.passed_count) == (1, 1, 0), "Overall is no test"
    assert str(newest.run_date) == "2021-06-23"


def test_empty_input_makes_no_rows(spark, nothing):
    assert build(decode(spark), nothing).count() == 0


def test_the_same_run_in_two_dashboards_is_one_row(spark, nothing):
    assert build(decode(spark, FINAL, FINAL), nothing).count() == 2


def test_running_twice_changes_nothing(spark, nothing):
    published = build(decode(spark, FINAL), nothing)
    assert build(decode(spark, FINAL), published).count() == 0
    assert build(decode(spark, FINAL, served_hour=9), published).count() == 0


def test_a_corrected_run_replaces_the_older_one(spark, nothing):
    published = build(decode(spark, RUNNING), nothing)
    changed = build(decode(spark, FINAL, served_hour=5), published).collect()
    assert [(row.build_id, row.result) for row in changed] == [("1002", "failed")]


def test_an_older_content_built_late_changes_nothing(spark, nothing):
    published = build(decode(spark, FINAL, served_hour=5), nothing)
    late = build(decode(spark, RUNNING, served_hour=1), published).collect()
    # The unchanged column turns out to have been known earlier; the corrected one stays corrected.
    assert [row.build_id for row in late] == ["1001"]


def test_the_order_of_landings_does_not_matter(spark, nothing):
    first, second = decode(spark, RUNNING, served_hour=1), decode(spark, FINAL, served_hour=5)
    together = build(first.unionByName(second), nothing)
    in_order = {r.run_key: r for r in build(first, nothing).collect()}
    in_order |= {r.run_key: r for r in build(second, build(first, nothing)).collect()}
    assert rows_of(together) == sorted((tuple(row) for row in in_order.values()), key=repr)
