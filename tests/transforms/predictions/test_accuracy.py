"""Accuracy: measures of a model and its baselines on one night's decisions, abstentions left out."""

from datetime import date
from math import log

import pytest
from tests.support.builders import make_frame, make_row
from tests.support.decoded import rows_of

from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.contracts.predictions.test_failure_outcomes import TABLE as OUTCOMES
from cilake.models.test_failure.spec import MODEL
from cilake.transforms.predictions import accuracy

pytestmark = pytest.mark.spark

DAY = "2021-06-21"
SAID = {"shrunken_probability": 0.5, "base_rate_probability": 0.5, "last_value_probability": 0.5}


def outcome(test_key, probability, has_failed, **overrides):
    return make_row(
        OUTCOMES,
        **{"test_key": test_key, "prediction_date": DAY, "has_abstained": False}
        | {"failure_probability": probability, "has_failed": has_failed}
        | SAID
        | overrides,
    )


def build(spark, outcomes, *, made=4, newest=date(2021, 6, 24)):
    predictions = [make_row(PREDICTIONS, test_key=key, prediction_date=DAY) for key in range(made)]
    return accuracy.transform(
        outcomes=make_frame(spark, OUTCOMES, outcomes),
        predictions=make_frame(spark, PREDICTIONS, predictions),
        model=MODEL,
        newest_run_date=newest,
    )


def test_every_scorer_is_measured_on_the_decisions_that_the_model_answered(spark):
    outcomes = [
        outcome(1, 0.8, True),
        outcome(2, 0.1, False),
        outcome(3, 0.9, False, has_abstained=True),
    ]
    rows = {row.scorer: row for row in build(spark, outcomes).collect()}
    assert rows.keys() == MODEL.scorers.keys()
    model = rows["model"]
    assert (model.model_name, model.decision_count, model.failure_count) == ("test_failure", 2, 1)
    assert model.log_loss == pytest.approx(-(log(0.8) + log(0.9)) / 2)
    assert rows["base_rate"].log_loss == pytest.approx(log(2))
    assert (model.decided_ratio, model.abstain_ratio) == (0.75, pytest.approx(1 / 3))


def test_the_age_is_that_of_the_newest_run_up_to_the_final_one(spark):
    outcomes = [outcome(1, 0.8, True)]
    ages = [
        build(spark, outcomes, newest=newest).first().outcome_age_days
        for newest in (date(2021, 6, 24), date(2021, 9, 1))
    ]
    assert ages == [3, 14]


def test_rows_in_any_order_have_the_same_measures_and_abstentions_alone_have_none(spark):
    outcomes = [outcome(key, 0.1 + key / 997, key % 7 == 0) for key in range(300)]
    assert rows_of(build(spark, outcomes)) == rows_of(build(spark, outcomes[::-1]))
    assert build(spark, [outcome(1, 0.5, True, has_abstained=True)]).count() == 0
    assert build(spark, []).columns == accuracy.TABLE.column_names
