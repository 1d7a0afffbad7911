"""Outcomes: the first final result after the decision day, within the horizon."""

import pytest
from tests.support.builders import make_frame, make_row
from tests.support.decoded import rows_of

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.transforms.predictions import test_failure_outcomes as outcomes

pytestmark = pytest.mark.spark


def result(run_key, started_at, test_status="passed", **overrides):
    day = {"run_date": started_at[:10], "known_at": "2021-07-20T00:00:00Z"}
    return make_row(
        TEST_RESULTS, run_key=run_key, started_at=started_at, test_status=test_status, **day, **overrides
    )


def build(spark, results, predictions=None):
    prediction = make_row(PREDICTIONS, prediction_date="2021-06-21", abstain_reason="too_few_runs")
    made = [prediction] if predictions is None else predictions
    return outcomes.transform(
        test_failure=make_frame(spark, PREDICTIONS, made),
        ci_runs=make_frame(spark, CI_RUNS, []),
        tests=make_frame(spark, TESTS, []),
        test_results=make_frame(spark, TEST_RESULTS, results),
    )


def test_the_next_final_result_is_the_outcome(spark):
    rows = build(
        spark,
        [
            result(1, "2021-06-21T23:59:59Z", "failed"),
            result(2, "2021-06-22T00:00:00Z", "running"),
            result(6, "2021-06-22T00:30:00Z", "passed_with_skips"),
            result(4, "2021-06-22T05:00:00Z", "passed"),
            result(3, "2021-06-22T04:00:00Z", "failed"),
            result(5, "2021-06-22T01:00:00Z", "failed", job_key=999),
        ],
    ).collect()
    assert [(row.run_key, row.has_failed, row.has_abstained) for row in rows] == [(3, True, True)]


def test_flaky_is_no_failure_and_ties_go_to_the_smaller_key(spark):
    rows = build(
        spark, [result(8, "2021-06-22T04:00:00Z", "failed"), result(7, "2021-06-22T04:00:00Z", "flaky")]
    ).collect()
    assert [(row.run_key, row.has_failed) for row in rows] == [(7, False)]


def test_results_past_the_horizon_and_empty_inputs_give_nothing(spark):
    assert build(spark, [result(1, "2021-07-06T00:00:00Z")]).count() == 0
    assert build(spark, []).count() == 0
    assert build(spark, [result(1, "2021-06-22T04:00:00Z")], predictions=[]).count() == 0


def test_same_input_same_rows_and_a_doubled_result_does_not_double_the_outcome(spark):
    one = result(1, "2021-06-22T04:00:00Z")
    assert rows_of(build(spark, [one, one])) == rows_of(build(spark, [one]))


def test_every_decision_since_the_result_before_has_the_same_outcome(spark):
    days = ["2021-06-19", "2021-06-20", "2021-06-21", "2021-06-22"]
    predictions = [make_row(PREDICTIONS, prediction_date=day) for day in days]
    results = [result(1, "2021-06-20T03:00:00Z"), result(2, "2021-06-22T03:00:00Z", "failed")]
    rows = build(spark, results, predictions).collect()
    outcome = {str(row.prediction_date): (row.run_key, row.has_failed) for row in rows}
    assert outcome == {"2021-06-19": (1, False), "2021-06-20": (2, True), "2021-06-21": (2, True)}
