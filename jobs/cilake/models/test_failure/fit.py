"""Fitting the model on a sample of decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.ensemble import HistGradientBoostingClassifier

from cilake.models.base import WEIGHT
from cilake.models.test_failure.features.matrix import feature_matrix
from cilake.models.test_failure.fitted import FittedModel
from cilake.models.test_failure.spec import FEATURES

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


def fit_sample(sampled: pa.Table) -> FittedModel:
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


def baseline(sampled: pa.Table) -> FittedModel:
    """Return the model that serves when no challenger passes the gate: the shrunken history rate."""
    return _model(sampled, None, ())


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
) -> FittedModel:
    if not len(sampled):
        raise ValueError("there is no decided outcome to train on")
    span = pc.min_max(sampled.column("started_at")).as_py()
    total, failures = _total(sampled), int(_outcome(sampled).sum())
    return FittedModel(
        estimator=estimator,
        base_rate=failures / total,
        uneventful=uneventful,
        feature_names=FEATURES,
        decision_count=total,
        failure_count=failures,
        trained_from=span["min"].isoformat(),
        trained_until=span["max"].isoformat(),
    )
