"""EXAMPLE: the first final result after the decision day is the outcome."""

import pytest
from cilake.contracts.predictions.example_model import TABLE as PREDICTIONS
from cilake.contracts.predictions.example_model_outcomes import HORIZON_DAYS, TABLE
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.vocabulary.ci import TEST_STATUSES
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.predictions import example_model_outcomes

DUCK = DuckEngine()


def predict(day="2021-06-21", **overrides):
    return make_row(PREDICTIONS, prediction_date=day, **overrides)


def build(*results, predictions=None, engine=DUCK):
    """Return outcomes of the predictions, of one without any; a result is a key, a day and a status."""
    rows = [
        make_row(TEST_RESULTS, run_key=key, started_at=f"{day}T05:00:00Z", run_date=day, test_status=status)
        for key, day, status in results
    ]
    made = example_model_outcomes.transform(
        engine,
        example_model=make_input(engine, PREDICTIONS, [predict()] if predictions is None else predictions),
        ci_runs=make_input(engine, CI_RUNS, []),
        test_results=make_input(engine, TEST_RESULTS, rows),
    )
    return take(made, TABLE)


def test_the_next_final_result_is_the_outcome():
    results = (1, "2021-06-21", "failed"), (2, "2021-06-22", "running"), (3, "2021-06-23", "failed")
    (row,) = build(*results, (4, "2021-06-24", "passed"))
    assert (row.run_key, row.has_failed) == (3, True)


def test_results_past_the_horizon_and_empty_inputs_give_nothing():
    assert build((1, "2021-07-20", "failed")) == []
    assert build() == []


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Cover days, ties, statuses, abstentions, both ends of the horizon, a test that has not run again."""
    days = [f"2021-06-{day:02}" for day in range(1, 31)]
    predictions = [
        predict(day, abstain_reason="too_few_runs" if number % 2 else None, test_key=test)
        for number, day in enumerate(days)
        for test in (31, 32)
    ]
    statuses = list(enumerate(TEST_STATUSES))
    results = [(-key if key % 2 else key, days[key // 2], status) for key, status in statuses]
    results.append((99, "2021-06-29", "failed"))
    engine = SparkEngine(spark)
    made = build(*results, predictions=predictions)
    assert {row.has_failed for row in made} == {row.has_abstained for row in made} == {True, False}
    assert [row.run_key for row in made if row.run_key == 99] == [99] * HORIZON_DAYS
    assert len(made) == 7 + HORIZON_DAYS
    assert build(*results, predictions=predictions, engine=engine) == made
    assert build(predictions=[], engine=engine) == build(predictions=predictions, engine=engine) == []
