"""Replies read by separate processes: the interpreter reads no two at once, and reading takes longest."""

from __future__ import annotations

import gc
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, TypeVar

from cilake.log import logger

READERS = 2
"""So many processes read at a time: a reply takes up to 1 GB while it is read."""
FEW_BYTES = 32 * 1024 * 1024
"""So many bytes are read before processes are started, which takes half a second."""

_Read = TypeVar("_Read")


class Readers:
    """What reads the replies of a landing: this process, one at a time, and once there are many, others.

    ``module`` holds the functions that read. The processes end with this one, even if it is killed. They are
    no ``ProcessPoolExecutor``, whose processes would first import whatever the main program imports.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._here, self._starting = Lock(), Lock()
        self._seen_bytes = 0
        self._processes: list[_Process] = []
        self._free: SimpleQueue[_Process | None] = SimpleQueue()
        self._has_begun = Event()

    def read(self, work: Callable[[], _Read], byte_count: int) -> _Read:
        """Return what a function makes of so many bytes; it, its result and what it raises can be pickled."""
        self._start_if_many(byte_count)
        if not self._has_begun.is_set():
            with self._here:
                return work()
        process = self._free.get()
        try:
            if process:
                return process.call(work)
        except (EOFError, OSError):
            logger.warning("reader process: killed; its replies are read here")
            process = None
        finally:
            self._free.put(process)
        with self._here:
            return work()

    def _start_if_many(self, byte_count: int) -> None:
        with self._starting:
            self._seen_bytes += byte_count
            if self._processes or self._seen_bytes <= FEW_BYTES:
                return
            self._processes = [_Process(self._module) for _ in range(READERS)]
        for process in self._processes:
            Thread(target=self._add, args=(process,), daemon=True).start()

    def _add(self, process: _Process) -> None:
        with suppress(EOFError, OSError):
            process.wait_for_begin()
            self._free.put(process)
            self._has_begun.set()

    def __enter__(self) -> Readers:
        """Return the readers."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        for process in self._processes:
            process.end()


class _Process:
    """A process that does what it is given, until the connection to it is closed."""

    def __init__(self, module: str) -> None:
        ours, its = socket.socketpair()
        with its:
            code = f"import {module}; from cilake.landing.readers import serve; serve({its.fileno()})"
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.DEVNULL, pass_fds=(its.fileno(),)
            )
        self._connection = Connection(ours.detach())

    def wait_for_begin(self) -> None:
        self._connection.recv()

    def call(self, work: Callable[[], _Read]) -> _Read:
        self._connection.send(work)
        made, error = self._connection.recv()
        if error:
            raise error
        return made  # type: ignore[no-any-return]  # of whatever type the work returns

    def end(self) -> None:
        self._connection.close()
        self._process.kill()  # it may be reading still, for nobody
        self._process.wait()


def serve(descriptor: int) -> None:
    """Run what comes over a connection, and send back what it made or raised, until it is closed."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this process ends it
    with suppress(EOFError, OSError), Connection(descriptor) as connection:
        connection.send(None)
        while True:
            work = connection.recv()
            made: tuple[Any, Exception | None]
            try:
                made = work(), None
            except Exception as error:
                made = None, error
            connection.send(made)
