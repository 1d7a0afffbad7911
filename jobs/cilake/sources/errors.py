"""The error of a payload."""

from __future__ import annotations


class UnreadableError(ValueError):
    """A payload that cannot be what it should be; the message says why, its first word the kind."""
