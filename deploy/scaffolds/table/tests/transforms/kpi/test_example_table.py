"""EXAMPLE: runs a day, counted once each."""

import pytest
from tests.support.builders import make_frame, make_row
from tests.support.decoded import rows_of

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.transforms.kpi import example_table

pytestmark = pytest.mark.spark


def build(spark, *runs):
    return example_table.transform(
        ci_runs=make_frame(spark, CI_RUNS, list(runs)),
        ci_jobs=make_frame(spark, CI_JOBS, [make_row(CI_JOBS)]),
    )


def test_runs_are_counted_by_day(spark):
    days = ["2021-06-21", "2021-06-21", "2021-06-22"]
    runs = [make_row(CI_RUNS, run_key=number, run_date=day) for number, day in enumerate(days)]
    counts = {str(row.run_date): row.run_count for row in build(spark, *runs).collect()}
    assert counts == {"2021-06-21": 2, "2021-06-22": 1}


def test_same_input_same_rows_and_none_from_none(spark):
    run = make_row(CI_RUNS)
    assert rows_of(build(spark, run)) == rows_of(build(spark, run))
    assert build(spark).count() == 0
    assert build(spark, run).columns == example_table.TABLE.column_names
