"""Measures equal the library's, and a sample with weights measures what it represents."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss

from cilake.contracts.kpi.calibration_bins import BIN_EDGES
from cilake.contracts.registry import table as contract
from cilake.transforms.measures import ACCURACY_SCHEMA, evaluate, reliability


@pytest.fixture
def outcome_and_truth():
    rng = np.random.default_rng(0)
    truth = rng.beta(0.2, 5.0, size=20_000)
    return rng.random(20_000) < truth, truth


def test_measures_equal_those_of_sklearn(outcome_and_truth):
    outcome, truth = outcome_and_truth
    rounded = np.round(truth, 2)  # many ties
    table = evaluate({"model": truth, "rounded": rounded}, outcome)
    assert table.schema == ACCURACY_SCHEMA
    for row, values in zip(table.to_pylist(), (truth, rounded), strict=True):
        clipped = np.clip(values, 1e-6, 1 - 1e-6)
        assert row["decision_count"] == 20_000
        assert row["failure_count"] == outcome.sum()
        assert row["brier"] == pytest.approx(brier_score_loss(outcome, clipped))
        assert row["log_loss"] == pytest.approx(log_loss(outcome, clipped))
        assert row["average_precision"] == pytest.approx(average_precision_score(outcome, clipped))
    assert table.to_pylist()[0]["calibration_error"] < 0.005


def test_a_weighted_decision_counts_as_often_as_it_stands_for(outcome_and_truth):
    outcome, truth = outcome_and_truth[0][:500], outcome_and_truth[1][:500]
    times = np.random.default_rng(1).integers(1, 5, 500)
    (weighted,) = evaluate({"model": truth}, outcome, times.astype(float)).to_pylist()
    (repeated,) = evaluate({"model": np.repeat(truth, times)}, np.repeat(outcome, times)).to_pylist()
    assert weighted == {name: pytest.approx(value) for name, value in repeated.items()}


def test_reliability_by_hand():
    bins = reliability(np.array([0.0005, 0.0005, 0.2, 1.0]), np.array([False, True, False, True]))
    assert [b["decision_count"] for b in bins] == [2, 1, 1]
    assert [b["failed_ratio"] for b in bins] == [0.5, 0.0, 1.0]
    assert bins[-1]["to_probability"] == 1.0


def test_calibration_error_shows_a_shift_and_is_over_the_bins_that_its_column_names(outcome_and_truth):
    outcome, truth = outcome_and_truth
    row = evaluate({"model": np.minimum(truth + 0.1, 1)}, outcome).to_pylist()[0]
    assert row["calibration_error"] == pytest.approx(0.1, abs=0.01)
    text = contract("predictions.accuracy").column("calibration_error").description
    assert f"over {len(BIN_EDGES) - 1} bins of fixed edges" in text


def test_without_a_failure_there_is_no_average_precision():
    (row,) = evaluate({"model": np.array([0.1, 0.2])}, np.zeros(2, dtype=bool)).to_pylist()
    assert row["average_precision"] is None


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="no decided outcome"):
        evaluate({"model": np.zeros(0)}, np.zeros(0, dtype=bool))
    with pytest.raises(ValueError, match="2 probabilities for 3 outcomes"):
        evaluate({"model": np.zeros(2)}, np.zeros(3, dtype=bool))
    with pytest.raises(ValueError, match="missing"):
        evaluate({"model": np.array([np.nan])}, np.ones(1, dtype=bool))
