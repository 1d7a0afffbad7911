"""Progress on standard error, with elapsed time."""

from __future__ import annotations

import sys
import time

_BEGAN = time.monotonic()


def say(message: str) -> None:
    """Write a message to standard error, after the seconds since the process began."""
    sys.stderr.write(f"[{time.monotonic() - _BEGAN:6.1f} s] {message}\n")
    sys.stderr.flush()
