"""Calibration bins: every measured forecast is in one bin per scorer."""

import pytest
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.kpi.calibration_bins import BIN_EDGES, TABLE
from cilake.contracts.predictions.test_failure_outcomes import TABLE as OUTCOMES
from cilake.models.test_failure.spec import MODEL
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.kpi import calibration_bins

DUCK = DuckEngine()


def outcome(model, shrunken, has_failed=False, **overrides):
    given = {"failure_probability": model, "shrunken_probability": shrunken}
    return make_row(OUTCOMES, has_failed=has_failed, **({"has_abstained": False} | given | overrides))


def build(outcomes, engine=DUCK):
    made = calibration_bins.transform(engine, outcomes=make_input(engine, OUTCOMES, outcomes), model=MODEL)
    return take(made, TABLE)


def test_edges_belong_to_the_bin_above_and_one_to_the_last():
    made = build([outcome(p, 0.5) for p in (0.0, 0.0009, 0.001, 0.1, 0.29, 1.0)])
    model = {(r.from_probability, r.to_probability): r.decision_count for r in made if r.scorer == "model"}
    assert model == {(0.0, 0.001): 2, (0.001, 0.003): 1, (0.1, 0.3): 2, (0.6, 1.0): 1}
    (shrunken,) = [row for row in made if row.scorer == "shrunken_history"]
    assert (shrunken.from_probability, shrunken.decision_count) == (0.3, 6)


def test_failures_and_forecasts_add_up_without_abstentions():
    made = build(
        [outcome(0.2, 0.2, True), outcome(0.1, 0.2), outcome(0.2, 0.2, True, has_abstained=True)],
    )
    (row,) = [row for row in made if row.scorer == "model"]
    assert (row.decision_count, row.failure_count) == (2, 1)
    assert row.expected_failures == pytest.approx(0.3)


def test_same_input_same_rows_and_none_from_none():
    outcomes = [outcome(0.2, 0.01, True)]
    assert len(build(outcomes)) == 2
    assert build(outcomes) == build(outcomes)
    assert build([]) == []


def test_rows_in_any_order_have_the_same_sums():
    outcomes = [outcome(0.1 + key / 997, key / 300, key % 7 == 0, test_key=key) for key in range(300)]
    assert build(outcomes) == build(outcomes[::-1])


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Edges, and what is right below them; certainty; thirds; days and versions; abstentions."""
    forecasts = [*BIN_EDGES, *(edge * (1 - 1e-12) for edge in BIN_EDGES[1:]), 1 / 3, 2 / 3, 1e-13, 5e-13]
    outcomes = [
        outcome(
            model,
            forecasts[-1 - number],
            number % 3 == 0,
            test_key=number - 5,
            prediction_date=day,
            model_version=version,
            has_abstained=number % 5 == 4,
        )
        for day, version in (("2021-06-21", "baseline"), ("2021-06-21", "it's 2"), ("2021-06-22", "it's 2"))
        for number, model in enumerate(forecasts)
    ]
    outcomes += [outcome(0.5, 0.5, prediction_date="2021-06-23", has_abstained=True)]
    engine = SparkEngine(spark)
    made = build(outcomes)
    assert len({(row.prediction_date, row.model_version, row.scorer) for row in made}) == 6
    assert {row.from_probability for row in made} == {*BIN_EDGES[:-1]}
    assert build(outcomes, engine) == made
    assert build([], engine) == []
