"""The log of the commands of the embedded stack; on the standard library alone, as `make setup` uses it."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

logger = logging.getLogger("deploy.local")
"""One line per message on standard error, with the seconds since the command began."""


class _ToStandardError(logging.StreamHandler[TextIO]):
    """A handler to whatever standard error is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Elapsed(logging.Formatter):
    """The seconds since the command began, and the message."""

    began = time.monotonic()

    def format(self, record: logging.LogRecord) -> str:
        return f"[{time.monotonic() - self.began:6.1f} s] {record.getMessage()}"


if not logger.handlers:
    _handler = _ToStandardError()
    _handler.setFormatter(_Elapsed())
    logger.addHandler(_handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
