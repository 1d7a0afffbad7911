"""The job as a process next to Airflow, in its own environment, on the Spark Connect server."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from typing import IO, Any

from airflow.sdk.exceptions import AirflowFailException

from cilake_airflow.addresses import run_page
from cilake_airflow.backends import die_with_parent
from cilake_airflow.backends.job import Job, WorkError
from cilake_airflow.retries import PERMANENT
from cilake_airflow.settings import PluginSettings, is_secret

MESSAGE = "cilake: "
"""How the line begins in which the job logs why it failed."""

WARNING = re.compile(r"\[ *\d+\.\d s\] warning: ")
"""How a line of the job begins that is a warning."""

KEPT_LINES = 20
GRACE_SECONDS = 15
STACK_FRAME = "\tat "  # hundreds of these follow a message of Spark and would push it out of what is kept

log = logging.getLogger(__name__)


class ConnectRun:
    """One process of the job; ``run`` waits for it, ``kill`` ends it and its children."""

    log_address = ""  # Airflow's own log of the task has all of it

    def __init__(self, settings: PluginSettings) -> None:
        self.settings = settings
        self.process: subprocess.Popen[str] | None = None

    def run(self, job: Job) -> Any:
        """Run the job; return what it printed as its last line: its counts.

        Raises:
            AirflowFailException: when the command is missing.
            WorkError: when it failed, or printed no JSON.

        """
        executable = shutil.which(self.settings.jobs_bin)
        if executable is None:
            raise AirflowFailException(
                f"no command {self.settings.jobs_bin!r}: set CILAKE_JOBS_BIN to cilake of the jobs env"
            )
        command = [executable, *job.arguments]
        log.info("command: running %s", " ".join(command))
        self.process = subprocess.Popen(
            [sys.executable, "-I", die_with_parent.__file__, str(os.getpid()), *command],
            env=child_environment(os.environ, self.settings.settings_of(*job.verb))
            | {"CILAKE_RUN_URL": run_page(job.dag_id, job.run_id)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        stdout_tail: deque[str] = deque(maxlen=KEPT_LINES)
        stderr_tail: deque[str] = deque(maxlen=KEPT_LINES)
        try:
            code = _follow(self.process, stdout_tail, stderr_tail)
        except BaseException:  # a timeout or an interrupt: the job must not outlive its task
            self.kill()
            raise
        if code != 0:
            raise failure_of(code, list(stderr_tail), job)
        return counts_of(list(stdout_tail), job)

    def kill(self) -> None:
        """Terminate the process group; kill it after ``GRACE_SECONDS``."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        log.warning("process group %s: terminating", process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def failure_of(code: int, stderr_tail: list[str], job: Job) -> WorkError:
    """Return the error for a process that ended with this exit code, after logging it where it did not."""
    if stderr_tail and stderr_tail[-1].startswith(MESSAGE) and code in (1, PERMANENT):
        return WorkError(stderr_tail[-1], code)
    tail = "\n".join(stderr_tail) or "(no output)"
    message = f"cilake {' '.join(job.verb)} failed with exit code {code}; its last lines:\n{tail}"
    log.error("%s", message)
    # Without the line in which the job explains itself its code says nothing about another try.
    return WorkError(message, 1 if code == PERMANENT else code)


def counts_of(lines: list[str], job: Job) -> Any:
    """Return the value of the last line that is not empty.

    Raises:
        WorkError: when that line is not JSON.

    """
    last = next((line for line in reversed(lines) if line.strip()), "")
    try:
        return json.loads(last)
    except json.JSONDecodeError:
        message = (
            f"cilake {' '.join(job.verb)} ended without its line of JSON; its last line was {last[:200]!r}"
        )
        log.error("%s", message)
        raise WorkError(message, 0) from None


def child_environment(own: Mapping[str, str], job_settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the job: ours without Airflow's and without secrets, and its settings."""
    dropped = ("AIRFLOW", "_AIRFLOW", "PYTHON", "VIRTUAL_ENV", "__AIRFLOW")
    kept = {name: value for name, value in own.items() if not (name.startswith(dropped) or is_secret(name))}
    return kept | dict(job_settings) | {"PYTHONUNBUFFERED": "1"}


def level_of(line: str) -> int:
    """Return the level of a line that the job logs: an error is why it ended, a warning is marked."""
    if line.startswith(MESSAGE):
        return logging.ERROR
    return logging.WARNING if WARNING.match(line) else logging.INFO


def _follow(process: subprocess.Popen[str], stdout_tail: deque[str], stderr_tail: deque[str]) -> int:
    """Log the standard error of the process and keep its output; return its exit code."""
    reader = Thread(target=_keep, args=(process.stdout, stdout_tail), daemon=True)
    reader.start()
    for line in process.stderr or ():
        text = line.rstrip()
        log.log(level_of(text), "%s", text)
        if text and not text.startswith(STACK_FRAME):
            stderr_tail.append(text)
    reader.join()
    return process.wait()


def _keep(stream: IO[str] | None, lines: deque[str]) -> None:
    for line in stream or ():
        lines.append(line.rstrip())
