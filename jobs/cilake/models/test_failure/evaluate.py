"""How good the probabilities are, next to the baselines, and whether the model may serve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from cilake.contracts.kpi.calibration_bins import BIN_EDGES

from .spec import MODEL

#: Probabilities are kept this far from 0 and 1, so that one surprise costs much but not everything.
CLIP = 1e-6
#: The scorer that is the model; every other one is a baseline.
MODEL_SCORER = "model"

ACCURACY_SCHEMA = pa.schema(
    [
        ("scorer", pa.string()),
        ("decision_count", pa.int64()),
        ("failure_count", pa.int64()),
        ("brier", pa.float64()),
        ("log_loss", pa.float64()),
        ("average_precision", pa.float64()),
        ("calibration_error", pa.float64()),
    ]
)


def evaluate(probabilities: Mapping[str, np.ndarray], has_failed: np.ndarray) -> pa.Table:
    """Return one row of measures per scorer over decisions whose outcome is known."""
    outcome = np.asarray(has_failed, dtype=bool)
    if not len(outcome):
        raise ValueError("there is no decided outcome to evaluate on")
    rows = [{"scorer": name, **_measures(values, outcome)} for name, values in probabilities.items()]
    return pa.Table.from_pylist(rows, schema=ACCURACY_SCHEMA)


def reliability(probability: np.ndarray, has_failed: np.ndarray) -> list[dict[str, float]]:
    """Return per non-empty bin of probability: its bounds, decisions, mean forecast and failed share."""
    outcome = np.asarray(has_failed, dtype=bool)
    place = np.clip(np.searchsorted(BIN_EDGES, probability, side="right") - 1, 0, len(BIN_EDGES) - 2)
    size = np.bincount(place, minlength=len(BIN_EDGES) - 1)
    forecast = np.bincount(place, weights=probability, minlength=len(size))
    failed = np.bincount(place, weights=outcome, minlength=len(size))
    return [
        {
            "from_probability": BIN_EDGES[i],
            "to_probability": BIN_EDGES[i + 1],
            "decision_count": int(size[i]),
            "mean_probability": float(forecast[i] / size[i]),
            "failed_ratio": float(failed[i] / size[i]),
        }
        for i in np.flatnonzero(size)
    ]


def average_precision(probability: np.ndarray, has_failed: np.ndarray) -> float:
    """Return the area under precision over recall, ties taken together; 0 if nothing failed."""
    total = int(np.sum(has_failed))
    if total == 0:
        return 0.0
    order = np.argsort(-probability, kind="stable")
    ordered, outcome = probability[order], has_failed[order]
    last_of_tie = np.append(ordered[1:] != ordered[:-1], True)
    found = np.cumsum(outcome)[last_of_tie]
    asked = np.flatnonzero(last_of_tie) + 1
    gained = np.diff(np.concatenate([[0], found]))
    return float(np.sum(found / asked * gained) / total)


def gate(table: pa.Table) -> tuple[bool, list[str]]:
    """Return whether the model may serve, and why not; no reasons means it passed."""
    rows = {row["scorer"]: row for row in table.to_pylist()}
    rule = MODEL.gate
    missing = [name for name in (MODEL_SCORER, rule.baseline) if name not in rows]
    if missing:
        return False, [f"no measures of {name}" for name in missing]
    model, baseline = rows[MODEL_SCORER], rows[rule.baseline]
    if model["failure_count"] == 0:
        return False, ["nothing failed in the evaluation window, so nothing was shown"]
    reasons = []
    bar = baseline[rule.metric] * (1 - rule.minimum_improvement)
    if not model[rule.metric] <= bar:
        reasons.append(
            f"{rule.metric} {model[rule.metric]:.5f} is not {rule.minimum_improvement:.0%} below"
            f" {baseline[rule.metric]:.5f} of {rule.baseline}"
        )
    if not model["brier"] < baseline["brier"]:
        reasons.append(f"brier {model['brier']:.5f} is not below {baseline['brier']:.5f} of {rule.baseline}")
    if not model["average_precision"] > baseline["average_precision"]:
        reasons.append(
            f"average_precision {model['average_precision']:.4f} is not above"
            f" {baseline['average_precision']:.4f} of {rule.baseline}"
        )
    for name, row in rows.items():
        if name != MODEL_SCORER and not model[rule.metric] < row[rule.metric]:
            reasons.append(
                f"{rule.metric} {model[rule.metric]:.5f} is not below {row[rule.metric]:.5f} of {name}"
            )
    if not model["calibration_error"] <= rule.maximum_calibration_error:
        reasons.append(
            f"calibration_error {model['calibration_error']:.5f} exceeds {rule.maximum_calibration_error}"
        )
    return not reasons, reasons


def _measures(values: np.ndarray, outcome: np.ndarray) -> dict[str, float | int]:
    probability = np.clip(np.asarray(values, dtype=np.float64), CLIP, 1 - CLIP)
    if probability.shape != outcome.shape:
        raise ValueError(f"{len(probability)} probabilities for {len(outcome)} outcomes")
    if np.isnan(probability).any():
        raise ValueError("a probability is missing")
    bins = reliability(probability, outcome)
    error = sum(b["decision_count"] * abs(b["mean_probability"] - b["failed_ratio"]) for b in bins)
    return {
        "decision_count": len(outcome),
        "failure_count": int(outcome.sum()),
        "brier": float(np.mean((probability - outcome) ** 2)),
        "log_loss": float(-np.mean(np.log(np.where(outcome, probability, 1 - probability)))),
        "average_precision": average_precision(probability, outcome),
        "calibration_error": float(error / len(outcome)),
    }
