"""What a model does for the steps that are the same for all: train, score, measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cilake.lake.snapshots import Pins
from cilake.models.as_of import History
from cilake.models.split import Split

WEIGHT = pa.field("weight", pa.float32())
"""How many decisions a sampled one represents."""


class OutdatedModelError(ValueError):
    """A model that was stored by an earlier version of this code, and cannot serve any more."""


class Forecaster(Protocol):
    """The functions of ``forecaster.py`` in a model's folder; only they know what ``fit`` returns."""

    def read_decisions(self, history: History) -> Split:
        """Return decided decisions known by the end of the history's day, or a sample, divided by time.

        They have the label, ``started_at``, the column by which the gate makes blocks, and ``WEIGHT``.

        Raises:
            ShortHistory: when there are none, or none before or after the division.

        """
        ...

    def fit(self, split: Split) -> Any:
        """Return what was learned from the earlier decisions alone.

        Raises:
            ShortHistory: when they teach nothing.

        """
        ...

    def forecast(self, fitted: Any, decisions: pa.Table) -> Mapping[str, np.ndarray]:
        """Return the probability of each decision by every scorer of the declaration."""
        ...

    def to_bytes(self, fitted: Any) -> tuple[bytes, str]:
        """Return what was learned as bytes, the same for the same, and their SHA-256 in hexadecimal."""
        ...

    def from_bytes(self, data: bytes, sha256: str) -> Any:
        """Return what ``to_bytes`` stored, without running foreign code.

        Raises:
            OutdatedModelError: for bytes of an earlier version.
            ValueError: when the digest differs or the bytes are no such model.

        """
        ...

    def predict_day(
        self, spark: SparkSession, catalog: Catalog, pins: Pins, history: History, fitted: Any
    ) -> Any:
        """Return the ledger's rows of the history's day but for ``model_version`` and ``scored_at``.

        They are rows of its engine. ``fitted`` is ``None`` when the baseline serves. ``None`` when there is
        nobody to predict for.
        """
        ...
