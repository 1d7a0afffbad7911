"""Daily predictions: sums over a job's predictions of a night and what came of them."""

from math import log

import pytest
from tests.support.builders import make_frame, make_row
from tests.support.decoded import rows_of

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.contracts.predictions.test_failure_outcomes import TABLE as OUTCOMES
from cilake.transforms.kpi import daily_predictions

pytestmark = pytest.mark.spark


def build(spark, predictions, outcomes=()):
    return daily_predictions.transform(
        test_failure=make_frame(spark, PREDICTIONS, predictions),
        test_failure_outcomes=make_frame(spark, OUTCOMES, list(outcomes)),
        ci_jobs=make_frame(spark, CI_JOBS, [make_row(CI_JOBS)]),
    )


def outcome(test_key, probability, has_failed, has_abstained=False):
    given = {"failure_probability": probability, "shrunken_probability": 0.5}
    return make_row(OUTCOMES, test_key=test_key, has_failed=has_failed, has_abstained=has_abstained, **given)


def test_sums_are_over_measured_predictions(spark):
    predictions = [make_row(PREDICTIONS, test_key=key) for key in (1, 2, 3)]
    predictions.append(make_row(PREDICTIONS, test_key=4, abstain_reason="stale_input"))
    outcomes = [outcome(1, 0.8, True), outcome(2, 0.1, False), outcome(4, 0.9, True, has_abstained=True)]
    (row,) = build(spark, predictions, outcomes).collect()
    assert (row.prediction_count, row.stale_input_count, row.too_few_runs_count) == (4, 1, 0)
    assert (row.measured_count, row.failure_count) == (2, 1)
    assert row.expected_failures == pytest.approx(0.9)
    assert row.model_loss == pytest.approx(-log(0.8) - log(0.9))
    assert row.shrunken_loss == pytest.approx(2 * log(2))


def test_certainty_that_was_wrong_costs_much_but_not_everything(spark):
    (row,) = build(spark, [make_row(PREDICTIONS)], [outcome(31, 0.0, True)]).collect()
    assert row.model_loss == pytest.approx(-log(1e-6))


def test_a_night_without_outcomes_is_there_with_nothing_measured(spark):
    (row,) = build(spark, [make_row(PREDICTIONS)]).collect()
    assert (row.prediction_count, row.measured_count, row.model_loss) == (1, 0, 0.0)
    assert build(spark, []).count() == 0


def test_same_input_same_rows(spark):
    inputs = [make_row(PREDICTIONS)], [outcome(31, 0.2, False)]
    assert rows_of(build(spark, *inputs)) == rows_of(build(spark, *inputs))
    assert build(spark, *inputs).columns == daily_predictions.TABLE.column_names


def test_rows_in_any_order_have_the_same_sums(spark):
    """Sums of doubles differ in the last bits, and a rewrite of equal rows would follow."""
    outcomes = [outcome(key, 0.1 + key / 997, key % 7 == 0) for key in range(300)]
    predictions = [make_row(PREDICTIONS, test_key=key) for key in range(300)]
    assert rows_of(build(spark, predictions, outcomes)) == rows_of(build(spark, predictions, outcomes[::-1]))
