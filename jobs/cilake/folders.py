"""What is found by its folder: a source or a model is a package whose name is its own."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

Declared = TypeVar("Declared")


def folder_names(parent: ModuleType) -> list[str]:
    """Return the names of the packages in a package; none of them is imported."""
    return sorted(module.name for module in pkgutil.iter_modules(parent.__path__) if module.ispkg)


def declaration(parent: ModuleType, folder: str, module: str, kind: type[Declared]) -> Declared:
    """Return what a module of a folder declares: ``SOURCE`` is a ``Source`` with the folder's name.

    Raises:
        TypeError: when it declares one of another name, or none.

    """
    declared = importlib.import_module(f"{parent.__name__}.{folder}.{module}")
    found = getattr(declared, kind.__name__.upper(), None)
    if not isinstance(found, kind) or getattr(found, "name", None) != folder:
        expected = f"{kind.__name__.upper()} = {kind.__name__}(name={folder!r}, …)"
        raise TypeError(f"{declared.__name__} is to declare {expected}")
    return found
