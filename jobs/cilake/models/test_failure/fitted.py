"""The fitted model, and its form as bytes that can be loaded without running foreign code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier

from cilake.models import artifact
from cilake.models.base import OutdatedModelError
from cilake.models.test_failure.spec import FEATURES

#: Version of the layout of the stored model and of what its features mean; another one is refused.
FORMAT = 3
#: The types a stored model may hold beyond the plain ones that skops trusts by itself.
TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What scoring needs; without an estimator the shrunken history serves."""

    estimator: HistGradientBoostingClassifier | None
    base_rate: float
    uneventful: tuple[float, ...]
    feature_names: tuple[str, ...]
    decision_count: int
    failure_count: int
    trained_from: str
    trained_until: str


def to_bytes(model: FittedModel) -> tuple[bytes, str]:
    """Return the model as bytes and their SHA-256 in hexadecimal."""
    content = {field.name: getattr(model, field.name) for field in fields(FittedModel)}
    content["uneventful"] = list(model.uneventful)
    content["feature_names"] = list(model.feature_names)
    return artifact.dump({"format": FORMAT, **content})


def from_bytes(data: bytes, sha256: str | None = None) -> FittedModel:
    """Return the model stored in ``data``.

    Raises ``ValueError`` if the digest differs, if the bytes hold a type outside ``TRUSTED_TYPES``, or if
    the model was made for other features: nothing of a refused model is executed.  Raises
    ``OutdatedModelError`` for a model of an earlier version.
    """
    content = artifact.load(data, sha256, trusted=TRUSTED_TYPES)
    if content.get("format") in range(1, FORMAT):
        raise OutdatedModelError(f"the model has layout {content['format']}, this version reads {FORMAT}")
    expected = {"format", *(field.name for field in fields(FittedModel))}
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
    return FittedModel(**content)


def _list_of(value: object) -> list[Any]:
    """Return a list as it is; of anything else one with what is no number."""
    return value if isinstance(value, list) else [None]
