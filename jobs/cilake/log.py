"""Progress on standard error: seconds since the command began, the level from warnings on, the message."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

logger = logging.getLogger("cilake")
"""The logger of the package."""


class _ToStandardError(logging.StreamHandler[TextIO]):
    """A handler to whatever standard error is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Elapsed(logging.Formatter):
    """Seconds since the command began, and the level from warnings on."""

    began = time.monotonic()

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"[{time.monotonic() - self.began:6.1f} s] {level}{record.getMessage()}"


def restart_clock() -> None:
    """Count the seconds from now on, in a process that was forked for a command."""
    _Elapsed.began = time.monotonic()


if not logger.handlers:
    _handler = _ToStandardError()
    _handler.setFormatter(_Elapsed())
    logger.addHandler(_handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
