"""Texts as SQL has them."""

from __future__ import annotations

from collections.abc import Iterable

_UNLIKE = frozenset("\\{}")


def listed(values: Iterable[str]) -> str:
    """Return texts as SQL has them in a list."""
    return f"({', '.join(map(quoted, values))})"


def quoted(text: str) -> str:
    """Return a text as SQL has it.

    Raises:
        ValueError: when engines read it differently: Spark escapes by backslashes and fills in braces.

    """
    if found := _UNLIKE & set(text):
        raise ValueError(f"{text!r} holds {' '.join(sorted(found))}, which Spark reads otherwise than DuckDB")
    return "'" + text.replace("'", "''") + "'"
