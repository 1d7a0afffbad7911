"""Texts as SQL has them."""

from __future__ import annotations

from collections.abc import Iterable


def listed(values: Iterable[str]) -> str:
    """Return texts as SQL has them in a list."""
    return f"({', '.join(map(quoted, values))})"


def quoted(text: str) -> str:
    """Return a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
