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
SMALL_BYTES = 4 * 1024 * 1024
"""A larger reply is read by a process alone: one that is stuck can be ended, what is stuck here cannot."""
READ_SECONDS = 60.0
"""How long a process may read one reply, twenty times as long as the largest take."""

_Read = TypeVar("_Read")


class SlowReadError(Exception):
    """A reply that was not read within ``READ_SECONDS``; the process that read it was replaced."""


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
        self._has_begun, self._has_ended = Event(), Event()

    def read(self, work: Callable[[], _Read], byte_count: int) -> _Read:
        """Return what a function makes of so many bytes; it, its result and what it raises can be pickled.

        Raises:
            SlowReadError: when a process does not come to an end with it.

        """
        self._start_if_many(byte_count)
        if byte_count <= SMALL_BYTES and not self._has_begun.is_set():
            return self._read_here(work)
        process = self._free.get()
        try:
            if process:
                return process.call(work)
        except (EOFError, OSError):
            if not self._has_ended.is_set():
                logger.warning("reader process: killed; its replies are read here")
            process = None
        finally:
            self._free.put(process)
        return self._read_here(work)

    def _read_here(self, work: Callable[[], _Read]) -> _Read:
        with self._here:
            self._require_open()
            return work()

    def _require_open(self) -> None:
        if self._has_ended.is_set():
            raise EOFError("the landing has ended: nobody waits for the reply")

    def _start_if_many(self, byte_count: int) -> None:
        with self._starting:
            self._require_open()
            self._seen_bytes += byte_count
            if self._processes or (byte_count <= SMALL_BYTES and self._seen_bytes <= FEW_BYTES):
                return
            self._processes = [_Process(self._module) for _ in range(READERS)]
        for process in self._processes:
            Thread(target=self._add, args=(process,), daemon=True).start()

    def _add(self, process: _Process) -> None:
        with suppress(EOFError, OSError):  # whoever wants to read with it meets the same error
            process.wait_for_begin()
        self._free.put(process)
        self._has_begun.set()

    def __enter__(self) -> Readers:
        """Return the readers."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; who waits for one, in another thread, is let go with an error."""
        with self._starting:
            self._has_ended.set()
        for process in self._processes:
            process.end()


class _Process:
    """A process that does what it is given, until the connection to it is closed."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._changing = Lock()
        self._has_ended = False
        self._start()

    def _start(self) -> None:
        ours, its = socket.socketpair()
        with its:
            code = f"import {self._module}; from cilake.landing.readers import serve; serve({its.fileno()})"
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.DEVNULL, pass_fds=(its.fileno(),)
            )
        self._connection = Connection(ours.detach())
        self._has_begun = False

    def wait_for_begin(self) -> None:
        if not self._has_begun:
            self._connection.recv()
            self._has_begun = True

    def call(self, work: Callable[[], _Read]) -> _Read:
        self.wait_for_begin()
        self._connection.send(work)
        if not self._connection.poll(READ_SECONDS):
            self._replace()
            raise SlowReadError(f"not read within {READ_SECONDS:.0f} s")
        made, error = self._connection.recv()
        if error:
            raise error
        return made  # type: ignore[no-any-return]  # of whatever type the work returns

    def end(self) -> None:
        with self._changing:
            self._has_ended = True
            self._kill()

    def _replace(self) -> None:
        with self._changing:
            self._kill()
            if not self._has_ended:
                self._start()

    def _kill(self) -> None:
        # The connection is left to those who wait at it, in other threads: they see its other end close.
        self._process.kill()
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
