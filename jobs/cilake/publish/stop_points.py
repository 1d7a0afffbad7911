"""Points at which a test ends a job as a power cut would: ``CILAKE_STOP_AFTER=<step>:<table>``.

Steps, in the order in which a publication passes them: ``open``, ``write``, ``audit`` and ``publish``.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "CILAKE_STOP_AFTER"
STEPS = ("open", "write", "audit", "publish")


def pass_point(step: str, address: str) -> None:
    """End this process without any cleanup when the variable names this step of this table."""
    if os.environ.get(VARIABLE) == f"{step}:{address}":
        os.kill(os.getpid(), signal.SIGKILL)
