"""All sources, found by their folder: each has a ``source.py`` that declares ``SOURCE``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cilake.sources as sources_package
from cilake.folders import declaration, folder_names

if TYPE_CHECKING:  # the command line lists the names alone
    from cilake.sources.base import Source


def source_names() -> list[str]:
    """Return the names of the sources, which are those of their folders; none is imported."""
    return folder_names(sources_package)


@cache
def source(name: str) -> Source:
    """Return the source in the folder of that name.

    Raises:
        TypeError: when the folder declares another one, or none.

    """
    from cilake.sources.base import Source

    return declaration(sources_package, name, "source", Source)


def sources() -> list[Source]:
    """Return all sources, by name."""
    return [source(name) for name in source_names()]


def precedence() -> dict[str, int]:
    """Return by source how much its word counts: that of a higher number wins whatever the others show."""
    return {one.name: one.precedence for one in sources()}
