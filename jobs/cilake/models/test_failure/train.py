"""The fitted model, and its form as bytes that can be loaded without running foreign code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.ensemble import HistGradientBoostingClassifier

from cilake.models import artifact
from cilake.models.base import WEIGHT, OutdatedModelError

from .matrix import feature_matrix
from .spec import FEATURES

#: Version of the layout of the stored model and of what its features mean; another one is refused.
FORMAT = 3
#: The types a stored model may hold beyond the plain ones that skops trusts by itself.
TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
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


def train(sampled: pa.Table) -> TrainedModel:
    """Return the model fitted on a sample of decisions, all earlier than those it is evaluated on.

    Nothing is tuned on a part of them: one outage in that part would decide how much is learned from all
    others.  With too few failures to learn from the baseline is returned.
    """
    failures = int(_outcome(sampled).sum())
    if min(failures, _total(sampled) - failures) < MINIMUM_FAILURES:
        return baseline(sampled)
    matrix = feature_matrix(sampled, np.float64)  # what the estimator would copy a smaller one into
    estimator = HistGradientBoostingClassifier(**SETTINGS, max_iter=TREES)
    estimator.fit(matrix, _outcome(sampled), sample_weight=sampled.column(WEIGHT.name).to_numpy())
    # It notes how many threads it learned with, which changes nothing but the bytes that are stored.
    estimator._bin_mapper.n_threads = 1
    return _model(sampled, estimator, tuple(_median(matrix).tolist()))


def baseline(sampled: pa.Table) -> TrainedModel:
    """Return the model that serves when no challenger passes the gate: the shrunken history rate."""
    return _model(sampled, None, ())


def to_bytes(model: TrainedModel) -> tuple[bytes, str]:
    """Return the model as bytes and their SHA-256 in hexadecimal."""
    content = {field.name: getattr(model, field.name) for field in fields(TrainedModel)}
    content["uneventful"] = list(model.uneventful)
    content["feature_names"] = list(model.feature_names)
    return artifact.dump({"format": FORMAT, **content})


def from_bytes(data: bytes, sha256: str | None = None) -> TrainedModel:
    """Return the model stored in ``data``.

    Raises ``ValueError`` if the digest differs, if the bytes hold a type outside ``TRUSTED_TYPES``, or if
    the model was made for other features: nothing of a refused model is executed.  Raises
    ``OutdatedModelError`` for a model of an earlier version.
    """
    content = artifact.load(data, sha256, trusted=TRUSTED_TYPES)
    if content.get("format") in range(1, FORMAT):
        raise OutdatedModelError(f"the model has layout {content['format']}, this version reads {FORMAT}")
    expected = {"format", *(field.name for field in fields(TrainedModel))}
    if set(content) != expected or content.pop("format") != FORMAT:
        raise ValueError("the bytes are no model of this kind: unknown layout")
    if tuple(content["feature_names"]) != FEATURES:
        raise ValueError("the model was trained on other features than the code computes")
    estimator = content["estimator"]
    if estimator is not None and not isinstance(estimator, HistGradientBoostingClassifier):
        raise ValueError("the bytes are no model of this kind: unexpected estimator")
    if estimator is not None and not hasattr(estimator, "_predictors"):
        raise ValueError("the bytes are no model of this kind: the estimator has learned nothing")
    numbers = [content["base_rate"], *_list_of(content["uneventful"])]
    if not all(isinstance(number, float) for number in numbers):
        raise ValueError("the bytes are no model of this kind: no numbers where they should be")
    content["feature_names"] = FEATURES
    content["uneventful"] = tuple(content["uneventful"])
    return TrainedModel(**content)


def _list_of(value: object) -> list[Any]:
    """Return a list as it is; of anything else one with what is no number."""
    return value if isinstance(value, list) else [None]


def _outcome(sampled: pa.Table) -> np.ndarray:
    values: np.ndarray = sampled.column("has_failed").to_numpy()
    return values


def _total(sampled: pa.Table) -> int:
    """Return how many decisions the sample represents."""
    return round(float(sampled.column(WEIGHT.name).to_numpy().sum()))


def _median(matrix: np.ndarray) -> np.ndarray:
    """Return the middle of each feature where nothing failed lately: what a healthy test looks like.

    A missing value (never failed) counts as the largest, so it is the middle where most never failed.
    """
    calm = matrix[:, FEATURES.index("own_fail_count_20")] == 0
    rows = calm if calm.any() else np.ones(len(matrix), dtype=bool)
    # Column by column, as copies of the whole matrix would be the most that a training holds.
    middle = [np.median(np.nan_to_num(column[rows], nan=np.inf)) for column in matrix.T]
    return np.where(np.isinf(middle), np.nan, middle)


def _model(
    sampled: pa.Table, estimator: HistGradientBoostingClassifier | None, uneventful: tuple[float, ...]
) -> TrainedModel:
    if not len(sampled):
        raise ValueError("there is no decided outcome to train on")
    span = pc.min_max(sampled.column("started_at")).as_py()
    total, failures = _total(sampled), int(_outcome(sampled).sum())
    return TrainedModel(
        estimator=estimator,
        base_rate=failures / total,
        uneventful=uneventful,
        feature_names=FEATURES,
        decision_count=total,
        failure_count=failures,
        trained_from=span["min"].isoformat(),
        trained_until=span["max"].isoformat(),
    )
