"""The job server, and the package `cilake` run with the settings of the stack."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from deploy.local import configuration
from deploy.local.configuration import Settings
from deploy.local.errors import StackError
from deploy.local.install import java
from deploy.local.layout import REPO, Layout


def job_socket(settings: Settings) -> Path:
    """Return the socket at which tasks hand their commands over."""
    return Path(settings["CILAKE_JOB_SERVER"])


def command(layout: Layout, settings: Settings) -> list[str]:
    """Return the command line of the job server."""
    return [str(layout.bin("jobs", "cilake")), "serve", str(job_socket(settings))]


def healthy(layout: Layout, settings: Settings) -> bool:
    """Return whether the job server accepts connections."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(job_socket(settings)))
        except OSError:
            return False
        return True


def run_work(layout: Layout, settings: Settings, args: list[str], log: Path | None = None) -> None:
    """Run a verb of `cilake` with the stack's settings; its output goes to the log, else to this terminal."""
    environment = configuration.environment(layout, settings, *configuration.OF_THE_WORK)
    environment["JAVA_HOME"] = str(java.for_spark(layout).home)
    program: list[str | Path] = [layout.bin("jobs", "cilake"), *args]
    if log is None:
        done = subprocess.run(program, env=environment, check=False, cwd=REPO)
    else:
        with log.open("wb") as output:
            done = subprocess.run(
                program, env=environment, check=False, cwd=REPO, stdout=output, stderr=output
            )
    if done.returncode != 0:
        raise StackError(f"`cilake {' '.join(args)}` failed" + (f": see {log}" if log else ""))
