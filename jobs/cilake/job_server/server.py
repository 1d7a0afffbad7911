"""``cilake serve``: a process that has imported everything, and forks for each command handed over."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import pkgutil
import selectors
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cilake.errors import PermanentError
from cilake.job_server.protocol import receive, send
from cilake.log import logger, restart_clock

PRELOADED = (
    "great_expectations",
    "pandas",
    "pyiceberg.io.pyarrow",
    "pyspark.sql.connect.session",
    "skops.io",
)
"""What our modules import only when it is needed."""
GRACE_SECONDS = 15
"""How long a command may take to end after its client has ended."""
REQUEST_SECONDS = 10
_ROOT = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG = 1
_CREDENTIALS = struct.Struct("3i")


class ServeError(PermanentError):
    """A path at which no server can be."""


@dataclass(slots=True)
class _Work:
    """A fork that does a command, and the connection to whoever waits for it."""

    pid: int
    connection: socket.socket
    kill_at: float | None = None


def serve(socket_path: Path) -> None:
    """Serve at a socket until stopped; running commands are then terminated, too.

    When our code is not what was imported, the server starts again with the next command.

    Raises:
        ServeError: when another server is there, or the folder is none.

    """
    listener = _listen(socket_path)
    code = fingerprint()
    logger.info(f"job server: imported {preload()} modules")
    gc.collect()
    gc.freeze()  # what is shared with the forks stays shared
    logger.info(f"job server: waits at {socket_path}")
    server = _Server(listener, code)
    try:
        server.run()
    finally:
        listener.close()
        socket_path.unlink(missing_ok=True)
    if server.is_outdated:
        logger.info("job server: restarting, the code has changed")
        os.execv(sys.executable, [sys.executable, "-m", "cilake.cli", "serve", str(socket_path)])  # noqa: S606


def preload() -> int:
    """Import all our modules and what they import when needed; return how many modules there are."""
    for name in PRELOADED:
        importlib.import_module(name)
    for module in pkgutil.walk_packages([str(_ROOT)], "cilake."):
        importlib.import_module(module.name)
    return len(sys.modules)


def fingerprint() -> tuple[tuple[str, int, int], ...]:
    """Return a fingerprint of our code: names, sizes and times of its files."""
    facts = ((path, path.stat()) for path in sorted(_ROOT.rglob("*.py")))
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in facts)


def _listen(path: Path) -> socket.socket:
    if not path.parent.is_dir():
        raise ServeError(f"{path.parent} is no folder: name a socket in one that exists")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        raise ServeError(f"another job server waits at {path}")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # only our user may hand commands over
    try:
        listener.bind(str(path))
    except OSError as error:
        raise ServeError(f"cannot wait at {path}: {error}") from error
    finally:
        os.umask(before)
    listener.listen()
    return listener


class _Server:
    """The loop: one thread, so that a fork has nothing but what it sees."""

    def __init__(self, listener: socket.socket, code: object) -> None:
        self.is_outdated = False
        self._listener = listener
        self._code = code
        self._works: dict[int, _Work] = {}
        self._is_ending = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        # A signal wakes the loop: a child has ended, or the server is to end.
        self._wakeup, writer = socket.socketpair()
        for end in (self._wakeup, writer):
            end.setblocking(False)
        self._writer = writer
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def run(self) -> None:
        """Take commands until it is stopped or outdated and no command is running any more."""
        while not (self._is_ending or self.is_outdated) or self._works:
            for key, _ in self._selector.select(self._timeout()):
                if key.fileobj is self._wakeup:
                    with contextlib.suppress(BlockingIOError):
                        self._wakeup.recv(4096)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._hear(key.data)
            self._reap()
            self._kill_overdue()

    def _end(self, number: int, frame: object) -> None:
        self._is_ending = True
        for work in self._works.values():
            self._terminate(work)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(REQUEST_SECONDS)
        files: list[int] = []
        try:
            _, user, _ = _CREDENTIALS.unpack(
                connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            request, files = receive(connection)
            if request is None:  # somebody looked whether there is a server
                connection.close()
                return
            refusal = self._refusal(user, request, files)
            if refusal is None:
                self._start(connection, request, files)
            else:
                send(connection, {"refused": refusal})
                connection.close()
        except (OSError, ValueError) as error:
            logger.warning(f"job server: cannot read a request: {error}")
            connection.close()
        finally:
            for file in files:
                os.close(file)

    def _refusal(self, user: int, request: Any, files: list[int]) -> str | None:
        if user != os.getuid():
            return "it works for another user"
        if not isinstance(request, dict) or len(files) != 3:
            return "the request is none"
        if self._is_ending:
            return "it ends"
        self.is_outdated = self.is_outdated or fingerprint() != self._code
        return "it restarts, as the code has changed" if self.is_outdated else None

    def _start(self, connection: socket.socket, request: dict[str, Any], files: list[int]) -> None:
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(request, files, server, [self._listener, connection, self._wakeup, self._writer])
        self._works[pid] = work = _Work(pid, connection)
        self._selector.register(connection, selectors.EVENT_READ, work)
        with contextlib.suppress(OSError):  # the client has ended: the next look at it ends its command
            send(connection, {"started": pid})

    def _hear(self, work: _Work) -> None:
        """Pass a signal on to the command; terminate the command of a client that has ended."""
        try:
            message, _ = receive(work.connection)
        except (OSError, ValueError):
            message = None
        if message is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(work.pid, int(message["signal"]))
            return
        self._selector.unregister(work.connection)
        self._terminate(work)

    def _terminate(self, work: _Work) -> None:
        if work.kill_at is None:
            work.kill_at = time.monotonic() + GRACE_SECONDS
            with contextlib.suppress(ProcessLookupError):
                os.killpg(work.pid, signal.SIGTERM)

    def _reap(self) -> None:
        while self._works:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            work = self._works.pop(pid)
            with contextlib.suppress(KeyError):
                self._selector.unregister(work.connection)
            with contextlib.suppress(OSError):
                send(work.connection, {"ended": os.waitstatus_to_exitcode(status)})
            work.connection.close()

    def _timeout(self) -> float | None:
        times = [work.kill_at for work in self._works.values() if work.kill_at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _kill_overdue(self) -> None:
        for work in self._works.values():
            if work.kill_at is not None and time.monotonic() >= work.kill_at:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(work.pid, signal.SIGKILL)
                work.kill_at = time.monotonic() + GRACE_SECONDS


def _become(request: dict[str, Any], files: list[int], server: int, closed: list[socket.socket]) -> None:
    """Run a command as the process that handed it over would, and end."""
    code = 1
    try:
        os.setsid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != server:  # it ended before the signal was armed
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for one in closed:
            one.close()
        for target, file in enumerate(files):
            os.dup2(file, target)
            os.close(file)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        time.tzset()
        restart_clock()
        code = importlib.import_module("cilake.cli").main(list(request["arguments"]))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # as the interpreter would show it
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
