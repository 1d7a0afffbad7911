"""The version of a model that serves on a day, ready to forecast."""

from __future__ import annotations

from datetime import date
from typing import Any

from pyiceberg.catalog import Catalog

from cilake.contracts.model_spec import Model
from cilake.errors import PermanentError
from cilake.lake.model_store import find_champion, load_artifact
from cilake.log import logger
from cilake.models.base import OutdatedModelError
from cilake.models.registry import forecaster


class ScoringError(PermanentError):
    """A promoted version that cannot serve."""


def serving(catalog: Catalog, model: Model, day: date) -> dict[str, Any] | None:
    """Return the registered version that serves on the day; ``None`` when the baseline serves."""
    return find_champion(catalog, model.name, day, serves_days=model.gate.champion_days)


def load_model(catalog: Catalog, champion: dict[str, Any]) -> Any:
    """Return what a version has learned; ``None`` for one of an earlier layout: then the baseline serves.

    Raises:
        ScoringError: when the artifact is not what was registered, or was made for other features.

    """
    name = champion["model_name"]
    try:
        return forecaster(name).from_bytes(load_artifact(catalog, champion), champion["artifact_sha256"])
    except OutdatedModelError as error:
        logger.warning(f"{champion['model_version']}: {error}; the baseline serves until the next training")
        return None
    except ValueError as error:
        raise ScoringError(
            f"{champion['model_version']} cannot be used: {error}; train the day before again "
            f"(`cilake train {name} --start DAY`), then score again"
        ) from error
