"""The parent of every service: sets its environment and user, and ends what it leaves behind.

`python -m deploy.local.supervise.launch NAME` becomes the service NAME. `… launch keeper` is the root of
the whole stack: it runs supervisord and is the one to whom orphaned processes fall, so that none outlives it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.local import configuration, layout
from deploy.local.services import postgres
from deploy.local.services.table import BY_NAME

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
KEEPER = "keeper"


def main() -> None:
    """Run the program that the command line names; returns only with its end."""
    name = sys.argv[1]
    here = layout.current()
    settings = configuration.require(here)
    _raise_file_limit()
    cwd = here.cwd / name
    cwd.mkdir(parents=True, exist_ok=True)
    os.chdir(cwd)
    if name == KEEPER:
        supervisord = [
            str(here.bin("jobs", "supervisord")),
            "--nodaemon",
            "-c",
            str(here.run / "supervisord.conf"),
        ]
        sys.exit(keep(supervisord, configuration.environment(here, settings), timeout=2))
    service = BY_NAME[name]
    environment = service.whole_environment(here, settings)
    command = service.command(here, settings)
    if name == "postgres":
        _become(postgres.location(here))
    if service.reaped:
        sys.exit(keep(command, environment, timeout=5))
    os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted


def _become(where: postgres.Location) -> None:
    os.chdir(where.data)
    if where.user is not None:
        os.setgroups([])
        os.setgid(where.user.pw_gid)
        os.setuid(where.user.pw_uid)


def _raise_file_limit() -> None:
    """Allow as many open files as the machine lets us: Trino refuses to start with fewer than 4096."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep(command: list[str], environment: Mapping[str, str], *, timeout: float) -> int:
    """Run a command, pass on signals, and end every descendant it leaves; its exit status."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this kernel cannot adopt orphaned processes")

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    child = subprocess.Popen(command, env=dict(environment), preexec_fn=die_with_parent)
    for sent in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(sent, lambda number, frame: child.send_signal(number))
    status = 1
    while True:  # orphans fall to this process: reap them while the service runs
        pid, raw = os.wait()
        if pid == child.pid:
            status = os.waitstatus_to_exitcode(raw)
            child.returncode = status
            break
    _end_orphans(timeout)
    return status if status >= 0 else 128 - status


def _end_orphans(timeout: float) -> None:
    """End every child, and the children that fall to us by that, until none is left."""
    deadline = time.monotonic() + timeout
    logged: set[int] = set()
    while True:
        children = _children()
        for pid in children:
            if time.monotonic() >= deadline:
                os.kill(pid, signal.SIGKILL)
            elif pid not in logged:
                os.kill(pid, signal.SIGTERM)
                logged.add(pid)
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.05)


def _children() -> list[int]:
    me = os.getpid()
    text = Path(f"/proc/{me}/task/{me}/children")
    return [int(word) for word in text.read_text().split()] if text.exists() else []


if __name__ == "__main__":
    main()
