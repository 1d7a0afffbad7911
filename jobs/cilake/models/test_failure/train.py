"""The fitted model, and its form as bytes that can be loaded without running foreign code."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from skops.io.exceptions import UntrustedTypesFoundException

from .score import feature_matrix
from .spec import FEATURES

#: Version of the layout of the stored model; another one is refused.
FORMAT = 2
#: The types a stored model may hold beyond the plain ones that skops trusts by itself.
TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
#: Shares of the decisions without a failure that are used for fitting, by what happened before: they are
#: many and alike.  Each weighs the inverse of its share, so the probabilities stay unbiased.
EVENTFUL_SHARE = 0.25
ELSEWHERE_SHARE = 0.1
UNEVENTFUL_SHARE = 0.02
#: The shares hold for this many decisions; of fewer, proportionally more are used.
SHARES_FOR = 10_000_000
#: Fewer failures than this teach nothing; the baseline is returned instead of a model.
MINIMUM_FAILURES = 50
#: Heavily regularised on purpose: an unregularised boosted model is far worse than the baseline.
SETTINGS: dict[str, Any] = {
    "learning_rate": 0.08,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 300,
    "l2_regularization": 50.0,
    "max_features": 0.5,
    "early_stopping": False,
    "random_state": 0,
}
TREES = 75
"""As many trees whatever the data: tuned on the last week, an outage in it would decide (ADR 0009)."""


class EarlierLayoutError(ValueError):
    """A model that was stored by an earlier version of this code, and cannot serve any more."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What scoring needs; without an estimator the shrunken history serves."""

    estimator: HistGradientBoostingClassifier | None
    base_rate: float
    uneventful: tuple[float, ...]
    feature_names: tuple[str, ...]
    decision_count: int
    failure_count: int
    trained_from: str
    trained_until: str


def train(features: pa.Table) -> TrainedModel:
    """Return the model fitted on the decisions given, which are earlier than those it is evaluated on.

    Nothing is tuned on a part of them: one outage in that part would decide how much is learned from all
    others.  With too few failures to learn from the baseline is returned.
    """
    decided = _decided(features)
    outcome = _outcome(decided)
    failures = int(outcome.sum())
    if min(failures, len(outcome) - failures) < MINIMUM_FAILURES:
        return baseline(features)
    rows, weight = _sample(decided, outcome)
    matrix = feature_matrix(decided.take(pa.array(rows)))
    estimator = HistGradientBoostingClassifier(**SETTINGS, max_iter=TREES)
    estimator.fit(matrix, outcome[rows], sample_weight=weight)
    return _model(decided, outcome, estimator, tuple(_median(matrix).tolist()))


def baseline(features: pa.Table) -> TrainedModel:
    """Return the model that serves when no challenger passes the gate: the shrunken history rate."""
    decided = _decided(features)
    return _model(decided, _outcome(decided), None, ())


def to_bytes(model: TrainedModel) -> tuple[bytes, str]:
    """Return the model as bytes and their SHA-256 in hexadecimal."""
    content = {field.name: getattr(model, field.name) for field in fields(TrainedModel)}
    content["uneventful"] = list(model.uneventful)
    content["feature_names"] = list(model.feature_names)
    data = skops.io.dumps({"format": FORMAT, **content})
    return data, hashlib.sha256(data).hexdigest()


def from_bytes(data: bytes, sha256: str | None = None) -> TrainedModel:
    """Return the model stored in ``data``.

    Raises ``ValueError`` if the digest differs, if the bytes hold a type outside ``TRUSTED_TYPES``, or if
    the model was made for other features: nothing of a refused model is executed.  Raises
    ``EarlierLayoutError`` for a model of an earlier version.
    """
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError("the model's bytes do not have the registered SHA-256")
    try:
        content = skops.io.loads(data, trusted=list(TRUSTED_TYPES))
    except (UntrustedTypesFoundException, zipfile.BadZipFile, KeyError, TypeError) as error:
        raise ValueError(f"the bytes are no model of this kind: {error}") from error
    if isinstance(content, dict) and content.get("format") in range(1, FORMAT):
        raise EarlierLayoutError(f"the model has layout {content['format']}, this version reads {FORMAT}")
    expected = {"format", *(field.name for field in fields(TrainedModel))}
    if not isinstance(content, dict) or set(content) != expected or content.pop("format") != FORMAT:
        raise ValueError("the bytes are no model of this kind: unknown layout")
    if tuple(content["feature_names"]) != FEATURES:
        raise ValueError("the model was trained on other features than the code computes")
    estimator = content["estimator"]
    if estimator is not None and not isinstance(estimator, HistGradientBoostingClassifier):
        raise ValueError("the bytes are no model of this kind: unexpected estimator")
    content["feature_names"] = FEATURES
    content["uneventful"] = tuple(content["uneventful"])
    return TrainedModel(**content)


def _decided(features: pa.Table) -> pa.Table:
    known = features.column("has_failed")
    return features if known.null_count == 0 else features.filter(known.is_valid())


def _outcome(decided: pa.Table) -> np.ndarray:
    values: np.ndarray = decided.column("has_failed").to_numpy()
    return values


def _sample(decided: pa.Table, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to fit on and their weights; the choice depends on keys alone, so it repeats."""
    mixed = np.zeros(len(decided), dtype=np.uint64)
    for name in ("run_key", "job_key", "test_key"):
        mixed = (mixed ^ decided.column(name).to_numpy().astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    draw = (mixed >> np.uint64(11)) / float(1 << 53)
    share = np.full(len(decided), UNEVENTFUL_SHARE)
    share[decided.column("elsewhere_fail_count_24h").to_numpy() > 0] = ELSEWHERE_SHARE
    share[decided.column("own_fail_count_20").to_numpy() > 0] = EVENTFUL_SHARE
    share *= max(1.0, SHARES_FOR / max(len(decided), 1))
    share[outcome] = 1.0
    share = np.minimum(share, 1.0)
    rows = np.flatnonzero(draw < share)
    return rows, 1.0 / share[rows]


def _median(matrix: np.ndarray) -> np.ndarray:
    """Return the middle of each feature where nothing failed lately: what a healthy test looks like.

    A missing value (never failed) counts as the largest, so it is the middle where most never failed.
    """
    calm = matrix[matrix[:, FEATURES.index("own_fail_count_20")] == 0]
    middle = np.median(np.nan_to_num(calm if len(calm) else matrix, nan=np.inf), axis=0)
    return np.where(np.isinf(middle), np.nan, middle)


def _model(
    decided: pa.Table,
    outcome: np.ndarray,
    estimator: HistGradientBoostingClassifier | None,
    uneventful: tuple[float, ...],
) -> TrainedModel:
    if not len(decided):
        raise ValueError("there is no decided outcome to train on")
    span = pc.min_max(decided.column("started_at")).as_py()
    return TrainedModel(
        estimator=estimator,
        base_rate=float(outcome.mean()),
        uneventful=uneventful,
        feature_names=FEATURES,
        decision_count=len(decided),
        failure_count=int(outcome.sum()),
        trained_from=span["min"].isoformat(),
        trained_until=span["max"].isoformat(),
    )
