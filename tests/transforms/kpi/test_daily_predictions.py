"""Daily predictions: sums over a job's predictions of a night and what came of them."""

from math import log

import pytest
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.kpi.daily_predictions import TABLE
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.contracts.predictions.test_failure_outcomes import TABLE as OUTCOMES
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.kpi import daily_predictions

DUCK = DuckEngine()


def build(predictions, outcomes=(), jobs=None, engine=DUCK):
    made = daily_predictions.transform(
        engine,
        test_failure=make_input(engine, PREDICTIONS, predictions),
        test_failure_outcomes=make_input(engine, OUTCOMES, list(outcomes)),
        ci_jobs=make_input(engine, CI_JOBS, [make_row(CI_JOBS)] if jobs is None else jobs),
    )
    return take(made, TABLE)


def outcome(test_key, probability, has_failed, has_abstained=False, **overrides):
    given = {"failure_probability": probability, "shrunken_probability": 0.5} | overrides
    return make_row(OUTCOMES, test_key=test_key, has_failed=has_failed, has_abstained=has_abstained, **given)


def test_sums_are_over_measured_predictions():
    predictions = [make_row(PREDICTIONS, test_key=key) for key in (1, 2, 3)]
    predictions.append(make_row(PREDICTIONS, test_key=4, abstain_reason="stale_input"))
    outcomes = [outcome(1, 0.8, True), outcome(2, 0.1, False), outcome(4, 0.9, True, has_abstained=True)]
    (row,) = build(predictions, outcomes)
    assert (row.prediction_count, row.stale_input_count, row.too_few_runs_count) == (4, 1, 0)
    assert (row.measured_count, row.failure_count) == (2, 1)
    assert row.expected_failures == pytest.approx(0.9)
    assert row.model_loss == pytest.approx(-log(0.8) - log(0.9))
    assert row.shrunken_loss == pytest.approx(2 * log(2))


def test_certainty_that_was_wrong_costs_much_but_not_everything():
    (row,) = build([make_row(PREDICTIONS)], [outcome(31, 0.0, True)])
    assert row.model_loss == pytest.approx(-log(1e-6))


def test_a_night_without_outcomes_is_there_with_nothing_measured():
    (row,) = build([make_row(PREDICTIONS)])
    assert (row.prediction_count, row.measured_count, row.model_loss) == (1, 0, 0.0)
    assert build([]) == []


def test_same_input_same_rows():
    inputs = [make_row(PREDICTIONS)], [outcome(31, 0.2, False)]
    assert len(build(*inputs)) == 1
    assert build(*inputs) == build(*inputs)


def test_rows_in_any_order_have_the_same_sums():
    """Sums of doubles differ in the last bits, and a rewrite of equal rows would follow."""
    outcomes = [outcome(key, 0.1 + key / 997, key % 7 == 0) for key in range(300)]
    predictions = [make_row(PREDICTIONS, test_key=key) for key in range(300)]
    assert build(predictions, outcomes) == build(predictions, outcomes[::-1])


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Jobs, one without names and one unknown; days, versions, all reasons; certain and unmeasured ones."""
    reasons = (*PREDICTIONS.column("abstain_reason").allowed, None)
    forecasts = (0.0, 1.0, 1e-6, 1 - 1e-6, 1 / 3, 0.123456789012345, 1e-13)
    predictions, outcomes = [], []
    for job, day, version in ((1, 21, "a"), (1, 21, "b"), (1, 22, "b"), (2, 21, "a"), (-3, 21, "a")):
        known = {"job_key": job, "prediction_date": f"2021-06-{day}", "model_version": version}
        for test in range(-14, 14):
            reason = reasons[test % len(reasons)]
            predictions.append(make_row(PREDICTIONS, **known, test_key=test, abstain_reason=reason))
            columns = {"probability": forecasts[test % 7], "shrunken_probability": forecasts[test % 5]}
            columns |= {"has_failed": test % 2 == 0, "has_abstained": bool(reason)}
            outcomes.append(outcome(test, **columns, **known))
    predictions += [
        make_row(PREDICTIONS, job_key=1, prediction_date="2021-06-23"),
        make_row(PREDICTIONS, job_key=2, prediction_date="2021-06-23", abstain_reason="too_few_runs"),
    ]
    outcomes += [
        outcome(31, 0.5, True, has_abstained=True, job_key=2, prediction_date="2021-06-23"),
        outcome(31, 0.5, True, prediction_date="2021-06-24"),
    ]
    jobs = [make_row(CI_JOBS, job_key=1), make_row(CI_JOBS, job_key=2, release=None, platform=None)]
    engine = SparkEngine(spark)
    made = build(predictions, outcomes, jobs)
    assert [row.measured_count for row in made] == [7, 7, 7, 0, 7, 0]
    assert build(predictions, outcomes, jobs, engine) == made
    assert build([], [], [], engine) == []
