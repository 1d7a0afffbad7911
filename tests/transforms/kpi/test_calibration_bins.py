"""Calibration bins: every measured forecast is in one bin per scorer."""

import pytest
from tests.support.builders import make_frame, make_row
from tests.support.decoded import rows_of

from cilake.contracts.predictions.test_failure_outcomes import TABLE as OUTCOMES
from cilake.models.test_failure.spec import MODEL
from cilake.transforms.kpi import calibration_bins

pytestmark = pytest.mark.spark


def outcome(model, shrunken, has_failed=False, **overrides):
    given = {"failure_probability": model, "shrunken_probability": shrunken}
    return make_row(OUTCOMES, has_failed=has_failed, **({"has_abstained": False} | given | overrides))


def build(spark, outcomes):
    return calibration_bins.transform(outcomes=make_frame(spark, OUTCOMES, outcomes), model=MODEL)


def test_edges_belong_to_the_bin_above_and_one_to_the_last(spark):
    made = build(spark, [outcome(p, 0.5) for p in (0.0, 0.0009, 0.001, 0.1, 0.29, 1.0)]).collect()
    model = {(r.from_probability, r.to_probability): r.decision_count for r in made if r.scorer == "model"}
    assert model == {(0.0, 0.001): 2, (0.001, 0.003): 1, (0.1, 0.3): 2, (0.6, 1.0): 1}
    (shrunken,) = [row for row in made if row.scorer == "shrunken_history"]
    assert (shrunken.from_probability, shrunken.decision_count) == (0.3, 6)


def test_failures_and_forecasts_add_up_without_abstentions(spark):
    made = build(
        spark, [outcome(0.2, 0.2, True), outcome(0.1, 0.2), outcome(0.2, 0.2, True, has_abstained=True)]
    )
    row = made.where("scorer = 'model'").collect()[0]
    assert (row.decision_count, row.failure_count) == (2, 1)
    assert row.expected_failures == pytest.approx(0.3)


def test_same_input_same_rows_and_none_from_none(spark):
    outcomes = [outcome(0.2, 0.01, True)]
    assert rows_of(build(spark, outcomes)) == rows_of(build(spark, outcomes))
    assert build(spark, []).count() == 0
    assert build(spark, outcomes).columns == calibration_bins.TABLE.column_names
