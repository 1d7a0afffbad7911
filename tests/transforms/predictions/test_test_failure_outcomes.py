"""Outcomes: the first final result after the decision day, within the horizon."""

from datetime import date, timedelta

import pytest
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.contracts.predictions.test_failure_outcomes import HORIZON_DAYS, TABLE
from cilake.contracts.vocabulary.ci import TEST_STATUSES
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.predictions import test_failure_outcomes as outcomes

DUCK = DuckEngine()


def result(run_key, started_at, test_status="passed", **overrides):
    day = {"run_date": started_at[:10], "known_at": "2021-07-20T00:00:00Z"}
    return make_row(
        TEST_RESULTS, run_key=run_key, started_at=started_at, test_status=test_status, **day, **overrides
    )


def build(results, predictions=None, tests=(), engine=DUCK):
    prediction = make_row(PREDICTIONS, prediction_date="2021-06-21", abstain_reason="too_few_runs")
    made = outcomes.transform(
        engine,
        test_failure=make_input(engine, PREDICTIONS, [prediction] if predictions is None else predictions),
        ci_runs=make_input(engine, CI_RUNS, []),
        tests=make_input(engine, TESTS, list(tests)),
        test_results=make_input(engine, TEST_RESULTS, results),
    )
    return take(made, TABLE)


def test_the_next_final_result_is_the_outcome():
    rows = build(
        [
            result(1, "2021-06-21T23:59:59Z", "failed"),
            result(2, "2021-06-22T00:00:00Z", "running"),
            result(6, "2021-06-22T00:30:00Z", "passed_with_skips"),
            result(4, "2021-06-22T05:00:00Z", "passed"),
            result(3, "2021-06-22T04:00:00Z", "failed"),
            result(5, "2021-06-22T01:00:00Z", "failed", job_key=999),
        ],
    )
    assert [(row.run_key, row.has_failed, row.has_abstained) for row in rows] == [(3, True, True)]


def test_flaky_is_no_failure_and_ties_go_to_the_smaller_key():
    rows = build([result(8, "2021-06-22T04:00:00Z", "failed"), result(7, "2021-06-22T04:00:00Z", "flaky")])
    assert [(row.run_key, row.has_failed) for row in rows] == [(7, False)]


def test_results_past_the_horizon_and_empty_inputs_give_nothing():
    assert build([result(1, "2021-07-06T00:00:00Z")]) == []
    assert build([]) == []
    assert build([result(1, "2021-06-22T04:00:00Z")], predictions=[]) == []


def test_same_input_same_rows_and_a_doubled_result_does_not_double_the_outcome():
    one = result(1, "2021-06-22T04:00:00Z")
    assert build([one, one]) == build([one])


def test_every_decision_since_the_result_before_has_the_same_outcome():
    days = ["2021-06-19", "2021-06-20", "2021-06-21", "2021-06-22"]
    predictions = [make_row(PREDICTIONS, prediction_date=day) for day in days]
    results = [result(1, "2021-06-20T03:00:00Z"), result(2, "2021-06-22T03:00:00Z", "failed")]
    rows = build(results, predictions)
    outcome = {str(row.prediction_date): (row.run_key, row.has_failed) for row in rows}
    assert outcome == {"2021-06-19": (1, False), "2021-06-20": (2, True), "2021-06-21": (2, True)}


def test_a_verdict_has_no_outcome():
    results = [result(1, "2021-06-22T04:00:00Z", "failed")]
    assert build(results, tests=[make_row(TESTS, is_verdict=True)]) == []
    assert len(build(results, tests=[make_row(TESTS)])) == 1


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Ends of the horizon, ties, runs of the decision day, all statuses, jobs, verdicts, doubled results."""
    first = date(2021, 6, 1)
    days = [(first + timedelta(days=number)).isoformat() for number in range(40)]
    predictions = [
        make_row(
            PREDICTIONS,
            job_key=job,
            test_key=test,
            prediction_date=day,
            model_version=f"v{number // 9}",
            abstain_reason=(None, "too_few_runs", "stale_input")[number % 3],
            failure_probability=number / 40,
        )
        for job in (11, -12)
        for test in range(-4, 5)
        for number, day in enumerate(days)
    ]
    statuses = [*TEST_STATUSES]
    results = [
        result(
            number * (-1) ** number,
            f"{day}T{hour:02}:00:00.000007Z",
            statuses[(number * 7 + test) % len(statuses)],
            job_key=job,
            test_key=test,
        )
        for number, (job, day, hour) in enumerate(
            (job, day, hour)
            for job in (11, -12, 13)
            for day in (*days[:3], days[5], *days[7:9], days[7 + 2 + HORIZON_DAYS], days[39])
            for hour in (0, 0, 5, 23)
        )
        for test in (-4, -3, 1, 2, 4, 6)
    ]
    results += [
        result(900, f"{days[0]}T05:00:00Z", "passed", job_key=11, test_key=0),
        result(901, f"{days[HORIZON_DAYS]}T05:00:00Z", "failed", job_key=11, test_key=0),
        result(902, f"{days[2 * HORIZON_DAYS + 1]}T05:00:00Z", "timed_out", job_key=11, test_key=0),
    ]
    results += results[:5]
    tests = [make_row(TESTS, test_key=4, is_verdict=True), make_row(TESTS, test_key=1, is_verdict=False)]
    engine = SparkEngine(spark)
    made = build(results, predictions, tests)
    assert {(row.job_key, row.test_key) for row in made} == {
        *((job, test) for job in (11, -12) for test in (-4, -3, 1, 2)),
        (11, 0),
    }
    assert {(row.has_failed, row.has_abstained) for row in made} == {
        *((failed, abstained) for failed in (True, False) for abstained in (True, False))
    }
    lonely = [row for row in made if row.test_key == 0]
    assert [row.run_key for row in lonely] == [901] * HORIZON_DAYS + [902] * HORIZON_DAYS
    assert build(results, predictions, tests, engine) == made
    assert build([], [], [], engine) == build(results, [], tests, engine) == []
