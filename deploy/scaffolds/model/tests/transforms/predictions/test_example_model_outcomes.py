"""EXAMPLE: the first final result after the decision day is the outcome."""

import pytest
from cilake.contracts.predictions.example_model import TABLE as PREDICTIONS
from tests.support.builders import make_frame, make_row

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.transforms.predictions import example_model_outcomes

pytestmark = pytest.mark.spark


def build(spark, *results):
    rows = [
        make_row(TEST_RESULTS, run_key=key, started_at=f"{day}T05:00:00Z", run_date=day, test_status=status)
        for key, day, status in results
    ]
    return example_model_outcomes.transform(
        example_model=make_frame(spark, PREDICTIONS, [make_row(PREDICTIONS, prediction_date="2021-06-21")]),
        ci_runs=make_frame(spark, CI_RUNS, []),
        test_results=make_frame(spark, TEST_RESULTS, rows),
    )


def test_the_next_final_result_is_the_outcome(spark):
    results = (1, "2021-06-21", "failed"), (2, "2021-06-22", "running"), (3, "2021-06-23", "failed")
    (row,) = build(spark, *results, (4, "2021-06-24", "passed")).collect()
    assert (row.run_key, row.has_failed) == (3, True)


def test_results_past_the_horizon_and_empty_inputs_give_nothing(spark):
    assert build(spark, (1, "2021-07-20", "failed")).count() == 0
    assert build(spark).count() == 0
