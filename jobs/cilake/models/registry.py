"""All models, found by their folder: ``spec.py`` declares ``MODEL``, ``forecaster.py`` does the work."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

import cilake.models as models_package
from cilake.contracts.model_spec import Model

if TYPE_CHECKING:  # scikit-learn is slow to import, and the command line lists the names alone
    from cilake.models.base import Forecaster


def model_names() -> list[str]:
    """Return the names of the models, which are those of their folders; none is imported."""
    return sorted(module.name for module in pkgutil.iter_modules(models_package.__path__) if module.ispkg)


@cache
def model(name: str) -> Model:
    """Return the declaration of the model in the folder of that name.

    Raises:
        TypeError: when the folder declares another one, or none.

    """
    declared = importlib.import_module(f"{models_package.__name__}.{name}.spec")
    found = getattr(declared, "MODEL", None)
    if not isinstance(found, Model) or found.name != name:
        raise TypeError(f"{declared.__name__} is to declare MODEL = Model(name={name!r}, …)")
    return found


def forecaster(name: str) -> Forecaster:
    """Return the functions of a model, imported only now."""
    found: Forecaster = importlib.import_module(f"{models_package.__name__}.{name}.forecaster")
    return found
