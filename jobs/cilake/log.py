"""Progress on standard error, with elapsed time."""

from __future__ import annotations

import sys
import time

_began = time.monotonic()


def say(message: str) -> None:
    """Write a message to standard error, after the seconds since the process began."""
    sys.stderr.write(f"[{time.monotonic() - _began:6.1f} s] {message}\n")
    sys.stderr.flush()


def restart_clock() -> None:
    """Count the seconds from now on, in a process that was forked for its work."""
    global _began
    _began = time.monotonic()
