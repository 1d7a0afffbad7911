"""EXAMPLE: runs a day, counted once each."""

import pytest
from cilake.contracts.kpi.example_table import TABLE
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.kpi import example_table

DUCK = DuckEngine()


def build(*runs, engine=DUCK):
    made = example_table.transform(
        engine,
        ci_runs=make_input(engine, CI_RUNS, list(runs)),
        ci_jobs=make_input(engine, CI_JOBS, [make_row(CI_JOBS)]),
    )
    return take(made, TABLE)


def test_runs_are_counted_by_day():
    days = ["2021-06-21", "2021-06-21", "2021-06-22"]
    runs = [make_row(CI_RUNS, run_key=number, run_date=day) for number, day in enumerate(days)]
    counts = {str(row.run_date): row.run_count for row in build(*runs)}
    assert counts == {"2021-06-21": 2, "2021-06-22": 1}


def test_same_input_same_rows_and_none_from_none():
    run = make_row(CI_RUNS)
    assert len(build(run)) == 1
    assert build(run) == build(run)
    assert build() == []


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Cover days and jobs, one without a name. EXAMPLE: give rows for all that the query distinguishes."""
    keys = [(number, f"2021-06-{21 + number % 3}", (11, 12)[number % 2]) for number in range(12)]
    runs = [make_row(CI_RUNS, run_key=key, run_date=day, job_key=job) for key, day, job in keys]
    engine = SparkEngine(spark)
    assert build(*runs, engine=engine) == build(*runs) != []
    assert build(engine=engine) == build() == []
