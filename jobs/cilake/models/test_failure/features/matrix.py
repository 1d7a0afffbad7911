"""The features of decisions as the matrix that the estimator takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from cilake.models.test_failure.spec import FEATURES


def feature_matrix(features: pa.Table, dtype: type[np.floating[Any]] = np.float32) -> np.ndarray:
    """Return the features as rows in the order of the declaration."""
    matrix = np.empty((len(features), len(FEATURES)), dtype=dtype)
    for i, name in enumerate(FEATURES):
        matrix[:, i] = read_column(features, name)
    return matrix


def read_column(features: pa.Table, name: str) -> np.ndarray:
    """Return one column as it is, without a copy where it is one piece."""
    values: np.ndarray = features.column(name).to_numpy()
    return values
