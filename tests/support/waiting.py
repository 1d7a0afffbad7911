"""Waiting for a condition, with a bound."""

import time
from pathlib import Path

import pytest


def wait_until(condition, situation=lambda: "", *, seconds=120, every=0.1):
    """Return what the condition gives once it is true; fail with the situation when it is not in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s {situation()}")
        time.sleep(every)
    return found


def is_alive(pid):
    """Whether a process works; one that has ended and that nobody has waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends between opening and reading
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
