"""Runs: rows of current observations, and which of them are unlike what is published."""

from tests.support.decoded import observe
from tests.support.engines import make_input, rows_of
from tests.support.grids import make_table

from cilake.contracts.core.ci_runs import TABLE
from cilake.transforms.core import ci_runs
from cilake.transforms.core.ci_run_observations import select_standing

RUNNING = make_table({"Overall": [4, 1], "a": [0, 12]})
FINAL = make_table({"Overall": [12, 1], "a": [12, 12]})


def build(engine, *tables):
    observed = observe(engine, *tables)
    standing = select_standing(engine, observed, {})
    return ci_runs.transform(engine, standing=standing, observations=observed)


def test_counts_and_verdict_of_the_content_that_stands(engine):
    runs = {row.build_id: row for row in rows_of(engine, build(engine, RUNNING, FINAL))}
    assert len(runs) == 2
    newest = runs["1002"]
    assert (newest.result, newest.result_count) == ("failed", 2)
    assert (newest.test_count, newest.failed_count, newest.passed_count) == (1, 1, 0), "Overall is no test"
    assert str(newest.run_date) == "2021-06-23"


def test_only_runs_unlike_the_published_are_changed(engine):
    after = select_standing(engine, observe(engine, RUNNING, FINAL), {})

    def changed(published):
        found = ci_runs.select_changed(engine, standing=after, ci_runs=published)
        return [row.old_run_date and str(row.old_run_date) for row in rows_of(engine, found)]

    assert changed(make_input(engine, TABLE, [])) == [None, None]
    assert changed(build(engine, RUNNING)) == ["2021-06-23"]
    assert changed(build(engine, RUNNING, FINAL)) == []
