"""Errors for people: the command line shows them as one line, everything else keeps its traceback."""

from __future__ import annotations


class CilakeError(Exception):
    """Something that a person can fix. The message says what is wrong, then the way out."""

    exit_code = 1
    """What the command ends with: 1, because another try may succeed."""


class PermanentError(CilakeError):
    """An error that another try meets again, until somebody changes the request, a setting or data."""

    exit_code = 2


REASON_LENGTH = 500


def require_reason(text: str) -> None:
    """Check that a decision has a reason that people can read.

    Raises:
        PermanentError: when it is blank, too long, or not one line.

    """
    if not text.strip() or not text.isprintable() or len(text) > REASON_LENGTH:
        raise PermanentError(f"--reason takes one line of at most {REASON_LENGTH} characters that says why")


class SourceError(CilakeError):
    """A source that does not respond, or not as such a source does."""
