"""Which processes are ours, who holds a port, how much memory there is: read from /proc."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from deploy.local.layout import Layout

_PROC = Path("/proc")


def ours(layout: Layout) -> dict[int, str]:
    """Return the living processes of this stack with their command lines, wherever they are in the tree.

    A process is ours when its environment carries the stack's marker, when it runs in one of the working
    folders of the services without a terminal (programs that rename themselves overwrite their environment),
    or when it descends from such a process. The caller and its ancestors are never ours.
    """
    marker = f"CILAKE_STACK={layout.marker}".encode()
    parents: dict[int, int] = {}
    found: set[int] = set()
    for pid in _pids():
        stat = _stat(pid)
        if stat is None or stat[0] == "Z":
            continue
        parents[pid] = int(stat[1])
        if marker in _read(pid, "environ").split(b"\0") or _stands_below(pid, layout.cwd, stat):
            found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    found -= _lineage(parents)
    return {pid: command_line(pid) for pid in sorted(found)}


def _lineage(parents: dict[int, int]) -> set[int]:
    mine = {os.getpid()}
    pid = os.getpid()
    while pid in parents:
        pid = parents[pid]
        mine.add(pid)
    # Children of this very command (a shell, a client) end with it.
    mine |= {child for child, parent in parents.items() if parent == os.getpid()}
    return mine


def _stands_below(pid: int, folder: Path, stat: list[str]) -> bool:
    if stat[4] != "0":  # it has a terminal: a person's shell
        return False
    try:
        return (_PROC / str(pid) / "cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def _pids() -> list[int]:
    return [int(path.name) for path in _PROC.iterdir() if path.name.isdecimal()]


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name (state, parent, group, session, terminal, …)."""
    text = _read(pid, "stat").decode(errors="replace")
    return text.rpartition(")")[2].split() or None


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:  # it ended meanwhile, or belongs to another user
        return b""


def command_line(pid: int) -> str:
    """Return the command line of a process, for people."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()[:160]


def alive(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z"


def start_time(pid: int) -> str:
    """Return the start time of a process in clock ticks: with the id it names one process for ever."""
    stat = _stat(pid)
    return stat[19] if stat else ""


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the memory of these processes; shared pages count once where the kernel reports them."""
    total = 0
    for pid in pids:
        for line in _read(pid, "smaps_rollup").decode(errors="replace").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def end(pids: Iterable[int], *, timeout: float) -> None:
    """End these processes: politely, then after `timeout` seconds by force."""
    waiting = {pid: start_time(pid) for pid in pids}
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for pid in waiting:
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + (timeout if sent == signal.SIGTERM else 5)
        while waiting and time.monotonic() < deadline:
            waiting = {pid: t for pid, t in waiting.items() if alive(pid) and start_time(pid) == t}
            time.sleep(0.05)


def port_taken(port: int) -> bool:
    """Return whether something listens on the loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def listening(port: int) -> bool:
    """Return whether a connection to the loopback port is accepted."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def available_memory() -> int | None:
    """Return the bytes of memory available without swapping, ``None`` where that is unknown."""
    try:
        lines = (_PROC / "meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
