"""A stack with its own home, on free ports, for tests and benchmarks; gone afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local import configuration, processes
from deploy.local.layout import REPO, Layout

_S3_PORTS = 20
_COMMAND_SECONDS = 900


class TemporaryStack:
    """The commands of one stack: call it with the arguments of ``python -m deploy.local``."""

    def __init__(self, home: Path) -> None:
        first = _free_block(_S3_PORTS + 8)
        self.home = home
        self.ports = {"S3": first}
        names = ("POSTGRES", "SPARK", "TRINO", "AIRFLOW", "SUPERSET", "CIWORLD", "SPARK_MASTER")
        self.ports |= {name: first + _S3_PORTS + offset for offset, name in enumerate(names)}
        self.environment = {**os.environ, "CILAKE_HOME": str(home)}
        self.environment |= {f"CILAKE_PORT_{name}": str(port) for name, port in self.ports.items()}

    def __call__(self, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command; return its status and what it printed. ``variables`` join its environment."""
        return subprocess.run(
            [sys.executable, "-m", "deploy.local", *args],
            cwd=REPO,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings of the stack, secrets included, as `make up` wrote them."""
        return configuration.require(self._layout)

    @property
    def reader_file(self) -> Path:
        """The file with which the tables can be read and not written."""
        return self._layout.reader_file

    def memory_bytes(self) -> int:
        """Return the memory of all processes of the stack, shared pages counted once."""
        return processes.resident_bytes(processes.ours(self._layout))

    @property
    def _layout(self) -> Layout:
        return Layout(self.home, self.home)


@contextmanager
def temporary_stack(home: Path, *services: str) -> Iterator[TemporaryStack]:
    """Yield a stack that runs the given services and what they need, removed at the end.

    Raises:
        RuntimeError: with the output of `up`, when the stack does not start.

    """
    stack = TemporaryStack(home)
    try:
        done = stack("up", "--only", ",".join(services))
        if done.returncode:
            raise RuntimeError(done.stderr)
        yield stack
    finally:
        stack("clean")


def _free_block(size: int) -> int:
    """Return the first port of a block of ports that nobody uses."""
    for first in range(20000 + os.getpid() % 9000, 32000, size):
        sockets = [socket.socket() for _ in range(size)]
        try:
            for offset, probe in enumerate(sockets):
                probe.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        else:
            return first
        finally:
            for probe in sockets:
                probe.close()
    raise RuntimeError("no free ports")
