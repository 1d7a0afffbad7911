"""All models, found by their folder: ``spec.py`` declares ``MODEL``, ``forecaster.py`` is the model."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

import cilake.models as models_package
from cilake.contracts.model_spec import Model
from cilake.folders import declaration, folder_names

if TYPE_CHECKING:  # scikit-learn is slow to import, and the command line lists the names alone
    from cilake.models.base import Forecaster


def model_names() -> list[str]:
    """Return the names of the models, which are those of their folders; none is imported."""
    return folder_names(models_package)


@cache
def model(name: str) -> Model:
    """Return the declaration of the model in the folder of that name.

    Raises:
        TypeError: when the folder declares another one, or none.

    """
    return declaration(models_package, name, "spec", Model)


def forecaster(name: str) -> Forecaster:
    """Return the functions of a model, imported only now."""
    found: Forecaster = importlib.import_module(f"{models_package.__name__}.{name}.forecaster")
    return found
