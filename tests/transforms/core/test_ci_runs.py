"""Runs: rows of what stands, and which of them are unlike what is published."""

import pytest
from tests.support.builders import make_frame
from tests.support.decoded import observe
from tests.support.grids import make_table

from cilake.contracts.core.ci_runs import TABLE
from cilake.transforms.core import ci_runs
from cilake.transforms.core.ci_run_observations import select_standing

pytestmark = pytest.mark.spark
RUNNING = make_table({"Overall": [4, 1], "a": [0, 12]})
FINAL = make_table({"Overall": [12, 1], "a": [12, 12]})


def build(observed):
    return ci_runs.transform(select_standing(observed, {}), observed)


def test_counts_and_verdict_of_the_content_that_stands(spark):
    observed = observe(spark, RUNNING, FINAL)
    runs = {row.build_id: row for row in build(observed).collect()}
    assert len(runs) == 2
    newest = runs["1002"]
    assert (newest.result, newest.result_count) == ("failed", 2)
    assert (newest.test_count, newest.failed_count, newest.passed_count) == (1, 1, 0), "Overall is no test"
    assert str(newest.run_date) == "2021-06-23"


def test_only_runs_unlike_the_published_are_changed(spark):
    before = build(observe(spark, RUNNING))
    after = select_standing(observe(spark, RUNNING, FINAL), {})
    everything = ci_runs.select_changed(after, make_frame(spark, TABLE, [])).collect()
    assert [row.old_run_date for row in everything] == [None, None]
    changed = ci_runs.select_changed(after, before).collect()
    assert [str(row.old_run_date) for row in changed] == ["2021-06-23"]
    assert ci_runs.select_changed(after, build(observe(spark, RUNNING, FINAL))).count() == 0
