"""Runs a command that ends when its parent ends: ``die_with_parent.py PARENT_PID COMMAND [ARGUMENT...]``.

A task runner that is killed cannot stop its child, which would go on writing in parallel with the retry.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Replace this process by the command, with a signal on the parent's death."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the signal was armed
        sys.exit(143)
    os.execvp(command[0], command)  # noqa: S606  (no shell: the arguments are ours)


if __name__ == "__main__":
    main()
