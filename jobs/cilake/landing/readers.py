"""Replies read by separate processes: the interpreter reads no two at once, and reading takes longest."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from threading import Lock, Thread
from types import TracebackType
from typing import TypeVar

from cilake.log import logger

READERS = 2
"""So many processes read at a time: a reply takes up to 1 GB while it is read."""
FEW_BYTES = 32 * 1024 * 1024
"""So many bytes are read before processes are started, which takes a second."""

_Read = TypeVar("_Read")


class Readers:
    """What reads the replies of a landing: this process, one at a time, and once there are many, others.

    ``module`` holds the functions that read; the processes import it once. They end with this one, even if
    it is killed.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._here, self._starting = Lock(), Lock()
        self._seen_bytes = 0
        self._pool: ProcessPoolExecutor | None = None
        self._started: Future[None] | None = None
        self._is_broken = False

    def read(self, work: Callable[[], _Read], byte_count: int) -> _Read:
        """Return what a function makes of so many bytes; it, its result and what it raises can be pickled."""
        self._start_if_many(byte_count)
        if self._pool and self._started and self._started.done() and not self._is_broken:
            try:
                return self._pool.submit(work).result()
            except BrokenProcessPool:
                self._note_end()
        with self._here:
            return work()

    def _start_if_many(self, byte_count: int) -> None:
        with self._starting:
            self._seen_bytes += byte_count
            if self._started or self._seen_bytes <= FEW_BYTES:
                return
            # Not forked from here, where threads work and much memory is held.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([self._module])
            self._pool = ProcessPoolExecutor(READERS, context, _begin)
            self._started = self._pool.submit(_answer)

    def _note_end(self) -> None:
        with self._starting:
            if not self._is_broken:
                logger.warning("reader process: killed; replies are read one at a time")
            self._is_broken = True

    def __enter__(self) -> Readers:
        """Return the readers."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Prepare a process that only reads: it ends with the one that started it, which ends it in order."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _answer() -> None:
    """Return nothing: that this returns shows that processes are there."""
