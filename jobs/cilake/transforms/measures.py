"""How good probabilities are, next to the baselines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from cilake.contracts.kpi.calibration_bins import BIN_EDGES
from cilake.contracts.predictions.accuracy import CLIP

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


def evaluate(
    probabilities: Mapping[str, np.ndarray], has_failed: np.ndarray, weight: np.ndarray | None = None
) -> pa.Table:
    """Return one row of measures per scorer over decisions whose outcome is known.

    ``weight`` says how many decisions each represents, where they are a sample.
    """
    outcome = np.asarray(has_failed, dtype=bool)
    if not len(outcome):
        raise ValueError("there is no decided outcome to evaluate on")
    weight = np.ones(len(outcome)) if weight is None else weight
    rows = [{"scorer": name, **_measures(values, outcome, weight)} for name, values in probabilities.items()]
    return pa.Table.from_pylist(rows, schema=ACCURACY_SCHEMA)


def reliability(
    probability: np.ndarray, has_failed: np.ndarray, weight: np.ndarray | None = None
) -> list[dict[str, float]]:
    """Return per non-empty bin of probability: its bounds, decisions, mean forecast and failed share."""
    outcome = np.asarray(has_failed, dtype=bool)
    weight = np.ones(len(outcome)) if weight is None else weight
    index = bin_of(probability)
    size = np.bincount(index, weights=weight, minlength=len(BIN_EDGES) - 1)
    forecast = np.bincount(index, weights=probability * weight, minlength=len(size))
    failed = np.bincount(index, weights=outcome * weight, minlength=len(size))
    return [
        {
            "from_probability": BIN_EDGES[i],
            "to_probability": BIN_EDGES[i + 1],
            "decision_count": round(size[i]),
            "mean_probability": float(forecast[i] / size[i]),
            "failed_ratio": float(failed[i] / size[i]),
        }
        for i in np.flatnonzero(size)
    ]


def bin_of(probability: np.ndarray) -> np.ndarray:
    """Return the number of the bin that holds each probability; the last bin holds 1 too."""
    index: np.ndarray = np.clip(
        np.searchsorted(BIN_EDGES, probability, side="right") - 1, 0, len(BIN_EDGES) - 2
    )
    return index


def average_precision(
    probability: np.ndarray, has_failed: np.ndarray, weight: np.ndarray | None = None
) -> float | None:
    """Return the area under precision over recall, ties taken together; ``None`` if nothing failed."""
    weight = np.ones(len(has_failed)) if weight is None else weight
    total = float(np.sum(weight[has_failed]))
    if total == 0:
        return None
    order = np.argsort(-probability, kind="stable")
    ordered, outcome, weight = probability[order], has_failed[order], weight[order]
    last_of_tie = np.append(ordered[1:] != ordered[:-1], True)
    found = np.cumsum(outcome * weight)[last_of_tie]
    asked = np.cumsum(weight)[last_of_tie]
    gained = np.diff(np.concatenate([[0], found]))
    return float(np.sum(found / asked * gained) / total)


def clipped(values: np.ndarray) -> np.ndarray:
    """Return the probabilities kept off certainty, so that one surprise costs much but not everything."""
    kept: np.ndarray = np.clip(np.asarray(values, dtype=np.float64), CLIP, 1 - CLIP)
    return kept


def log_losses(probability: np.ndarray, has_failed: np.ndarray) -> np.ndarray:
    """Return the log loss of each decision, in nats."""
    losses: np.ndarray = -np.log(np.where(has_failed, probability, 1 - probability))
    return losses


def brier_losses(probability: np.ndarray, has_failed: np.ndarray) -> np.ndarray:
    """Return the squared error of each decision."""
    losses: np.ndarray = (probability - has_failed) ** 2
    return losses


def _measures(values: np.ndarray, outcome: np.ndarray, weight: np.ndarray) -> dict[str, float | int | None]:
    probability = clipped(values)
    if probability.shape != outcome.shape:
        raise ValueError(f"{len(probability)} probabilities for {len(outcome)} outcomes")
    if np.isnan(probability).any():
        raise ValueError("a probability is missing")
    bins = reliability(probability, outcome, weight)
    error = sum(b["decision_count"] * abs(b["mean_probability"] - b["failed_ratio"]) for b in bins)
    total = float(weight.sum())
    return {
        "decision_count": round(total),
        "failure_count": round(float(weight[outcome].sum())),
        "brier": float(np.sum(weight * brier_losses(probability, outcome)) / total),
        "log_loss": float(np.sum(weight * log_losses(probability, outcome)) / total),
        "average_precision": average_precision(probability, outcome, weight),
        "calibration_error": float(error / total),
    }
