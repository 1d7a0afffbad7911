"""Measures equal the library's, and the gate lets nothing worse through."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss

from cilake.models.test_failure.evaluate import ACCURACY_SCHEMA, evaluate, gate, reliability


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


def test_reliability_by_hand():
    bins = reliability(np.array([0.0005, 0.0005, 0.2, 1.0]), np.array([False, True, False, True]))
    assert [b["decision_count"] for b in bins] == [2, 1, 1]
    assert [b["failed_ratio"] for b in bins] == [0.5, 0.0, 1.0]
    assert bins[-1]["to_probability"] == 1.0


def test_calibration_error_shows_a_shift(outcome_and_truth):
    outcome, truth = outcome_and_truth
    row = evaluate({"model": np.minimum(truth + 0.1, 1)}, outcome).to_pylist()[0]
    assert row["calibration_error"] == pytest.approx(0.1, abs=0.01)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="no decided outcome"):
        evaluate({"model": np.zeros(0)}, np.zeros(0, dtype=bool))
    with pytest.raises(ValueError, match="2 probabilities for 3 outcomes"):
        evaluate({"model": np.zeros(2)}, np.zeros(3, dtype=bool))
    with pytest.raises(ValueError, match="missing"):
        evaluate({"model": np.array([np.nan])}, np.ones(1, dtype=bool))


def rows(**model):
    good = {
        "decision_count": 1000,
        "failure_count": 10,
        "brier": 0.0025,
        "log_loss": 0.0120,
        "average_precision": 0.60,
        "calibration_error": 0.001,
    }
    baseline = {
        **good,
        "scorer": "shrunken_history",
        "brier": 0.0027,
        "log_loss": 0.0140,
        "average_precision": 0.58,
    }
    return pa.Table.from_pylist([{**good, "scorer": "model", **model}, baseline], schema=ACCURACY_SCHEMA)


def test_a_better_model_passes():
    assert gate(rows()) == (True, [])


@pytest.mark.parametrize(
    ("worse", "word"),
    [
        ({"log_loss": 0.0130}, "log_loss"),  # better, but by less than 10 %
        ({"log_loss": float("nan")}, "log_loss"),
        ({"brier": 0.0028}, "brier"),
        ({"average_precision": 0.57}, "average_precision"),
        ({"calibration_error": 0.02}, "calibration_error"),
        ({"failure_count": 0}, "nothing failed"),
    ],
)
def test_a_worse_model_does_not_pass(worse, word):
    passed, reasons = gate(rows(**worse))
    assert not passed
    assert any(word in reason for reason in reasons)


def test_a_model_without_its_baseline_does_not_pass():
    assert gate(rows().slice(0, 1)) == (False, ["no measures of shrunken_history"])
    assert gate(rows().slice(1, 1))[0] is False
