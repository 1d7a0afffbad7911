"""Accuracy: measures of a model and its baselines on one night's decisions, abstentions left out."""

from datetime import date
from math import log

import pytest
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.predictions.accuracy import TABLE
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.contracts.predictions.test_failure_outcomes import TABLE as OUTCOMES
from cilake.models.test_failure.spec import MODEL
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.predictions import accuracy

DUCK = DuckEngine()
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


def transform(outcomes, predictions, newest, engine=DUCK):
    made = accuracy.transform(
        engine,
        outcomes=make_input(engine, OUTCOMES, outcomes),
        predictions=make_input(engine, PREDICTIONS, predictions),
        model=MODEL,
        newest_run_date=newest,
    )
    return take(made, TABLE)


def build(outcomes, *, made=4, newest=date(2021, 6, 24)):
    predictions = [make_row(PREDICTIONS, test_key=key, prediction_date=DAY) for key in range(made)]
    return transform(outcomes, predictions, newest)


def test_every_scorer_is_measured_on_the_decisions_that_the_model_answered():
    outcomes = [
        outcome(1, 0.8, True),
        outcome(2, 0.1, False),
        outcome(3, 0.9, False, has_abstained=True),
    ]
    rows = {row.scorer: row for row in build(outcomes)}
    assert rows.keys() == MODEL.scorers.keys()
    model = rows["model"]
    assert (model.model_name, model.decision_count, model.failure_count) == ("test_failure", 2, 1)
    assert model.log_loss == pytest.approx(-(log(0.8) + log(0.9)) / 2)
    assert rows["base_rate"].log_loss == pytest.approx(log(2))
    assert (model.decided_ratio, model.abstain_ratio) == (0.75, pytest.approx(1 / 3))


def test_the_age_is_that_of_the_newest_run_up_to_the_final_one():
    outcomes = [outcome(1, 0.8, True)]
    ages = [
        {row.outcome_age_days for row in build(outcomes, newest=newest)}
        for newest in (date(2021, 6, 24), date(2021, 9, 1))
    ]
    assert ages == [{3}, {14}]


def test_rows_in_any_order_have_the_same_measures_and_abstentions_alone_have_none():
    outcomes = [outcome(key, 0.1 + key / 997, key % 7 == 0) for key in range(300)]
    assert len(build(outcomes)) == len(MODEL.scorers)
    assert build(outcomes) == build(outcomes[::-1])
    assert build([outcome(1, 0.5, True, has_abstained=True)]) == []
    assert build([]) == []


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Days and versions; one without failures, of abstentions or without predictions; keys of both signs."""
    nights = [("2021-06-10", "it's 1"), (DAY, "it's 1"), (DAY, "baseline"), ("2021-06-22", "baseline")]
    predictions, outcomes = [], []
    for night, (day, version) in enumerate(nights):
        for key in range(-40, 40):
            known = {"job_key": key % 3 - 1, "prediction_date": day, "model_version": version}
            predictions.append(make_row(PREDICTIONS, test_key=key, **known))
            if key % 4:
                columns = {"shrunken_probability": (key + 40) / 80, "last_value_probability": float(key % 2)}
                columns["has_abstained"] = key % 5 == 0
                model = 0.1 + (key + 40 + night) / 997
                outcomes.append(outcome(key, model, key % 6 == 0 and night != 1, **columns, **known))
    outcomes += [
        outcome(1, 0.5, True, has_abstained=True, prediction_date="2021-06-23"),
        outcome(1, 0.5, True, prediction_date="2021-06-24"),  # which nobody predicted
    ]
    predictions += [make_row(PREDICTIONS, prediction_date="2021-06-23")]
    newest = date(2021, 6, 25)
    engine = SparkEngine(spark)
    made = transform(outcomes, predictions, newest)
    assert len(made) == len(nights) * len(MODEL.scorers)
    assert {row.outcome_age_days for row in made} == {14, 4, 3}
    assert {row.average_precision is None for row in made} == {True, False}
    assert transform(outcomes, predictions, newest, engine) == made
    assert transform([], [], newest, engine) == transform([], [], None, engine) == []
