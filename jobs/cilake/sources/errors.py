"""The error of a payload."""

from __future__ import annotations


class UnreadableError(ValueError):
    """A payload that cannot be what it should be; the message says why, its first word the kind."""


def odd_payload(error: Exception) -> str:
    """Return the reason for which a payload is refused that made its reader fail in a way nobody expected."""
    return f"odd_payload: {type(error).__name__}: {str(error)[:200]}"
