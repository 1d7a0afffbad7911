"""supervisord: its configuration, its control over a socket file, its start and its end."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Mapping
from typing import Any

from deploy.local import processes
from deploy.local.configuration import environment, write_private
from deploy.local.errors import CONNECTION_ERRORS, StackError
from deploy.local.layout import REPO, Layout
from deploy.local.services.table import SERVICES
from deploy.local.supervise.launch import KEEPER

from cilake.log import logger

UP = ("RUNNING", "STARTING", "BACKOFF")
"""The states of a service that was started and has not given up."""


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _SocketTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _SocketConnection(self._path)


def control(layout: Layout) -> Any:
    """Return the remote `supervisor` namespace; every call raises OSError when supervisord does not run."""
    transport = _SocketTransport(str(layout.socket))
    return xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport).supervisor


def states(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return what supervisord knows of every service, by name; nothing when it does not run."""
    try:
        return {info["name"]: info for info in control(layout).getAllProcessInfo()}
    except CONNECTION_ERRORS:
        return {}


def keeper(layout: Layout) -> int | None:
    """Return the process id of the stack's root process while it lives."""
    record = layout.run / "keeper.pid"
    if not record.exists():
        return None
    pid, _, started = record.read_text().partition(" ")
    living = pid.isdecimal() and processes.alive(int(pid)) and processes.start_time(int(pid)) == started
    return int(pid) if living else None


def render(layout: Layout) -> str:
    """Return the configuration of supervisord: every service by its launcher, so no secret is in it."""
    python = layout.bin("jobs", "python")
    lines = [
        "[supervisord]",
        f"logfile={layout.log}/supervisord.log",
        "logfile_maxbytes=5MB",
        "logfile_backups=2",
        f"pidfile={layout.run}/supervisord.pid",
        f"childlogdir={layout.log}",
        "minfds=1024",
        "[unix_http_server]",
        f"file={layout.socket}",
        "chmod=0600",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    if os.getuid() == 0:
        lines.insert(1, "user=root")
    for priority, service in enumerate(SERVICES):
        lines += [
            f"[program:{service.name}]",
            f"command={python} -m deploy.local.supervise.launch {service.name}",
            f"directory={REPO}",
            f"priority={100 + priority}",
            "autostart=false",
            "autorestart=true",
            "startsecs=2",
            "startretries=8",
            f"stopsignal={service.stop_signal}",
            f"stopwaitsecs={service.stop_seconds}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={layout.log}/{service.name}.log",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=2",
        ]
    # A percent sign starts a substitution in this format.
    return "\n".join(line.replace("%", "%%") for line in lines) + "\n"


def start(layout: Layout, settings: Mapping[str, str]) -> None:
    """Start supervisord with the present configuration; processes of an earlier stack are ended first."""
    text = render(layout)
    path = layout.run / "supervisord.conf"
    if keeper(layout) is not None and states(layout):
        if path.exists() and path.read_text() == text:
            return
        logger.info("local stack: restarting, the list of services changed")
        stop(layout)
    leftovers = processes.ours(layout)
    if leftovers:
        logger.info(f"local stack: ending {len(leftovers)} processes of an earlier stack")
        processes.end(leftovers, timeout=10)
    layout.socket.unlink(missing_ok=True)
    write_private(path, text)
    with (layout.log / "keeper.log").open("ab") as log:
        process = subprocess.Popen(
            [layout.bin("jobs", "python"), "-m", "deploy.local.supervise.launch", KEEPER],
            cwd=REPO,
            env=environment(layout, settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    write_private(layout.run / "keeper.pid", f"{process.pid} {processes.start_time(process.pid)}")
    deadline = time.monotonic() + 30
    while not states(layout):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackError(f"supervisord does not start: see {layout.log}/keeper.log")
        time.sleep(0.1)


def stop(layout: Layout) -> int:
    """End every process of the stack and return how many had to be ended one by one."""
    pid = keeper(layout)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 90
        while processes.alive(pid) and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # when this very command started it
            time.sleep(0.1)
    leftovers = processes.ours(layout)
    processes.end(leftovers, timeout=5)
    remaining = processes.ours(layout)
    if remaining:
        listed = ", ".join(f"{number} ({line[:60]})" for number, line in remaining.items())
        raise StackError(f"these processes cannot be ended: {listed}")
    (layout.run / "keeper.pid").unlink(missing_ok=True)
    return len(leftovers)


def start_service(layout: Layout, name: str) -> None:
    """Start one service through supervisord, without waiting for it."""
    _request(layout, "startProcess", name, wait=False, settled="ALREADY_STARTED")


def stop_service(layout: Layout, name: str) -> None:
    """Stop one service and wait for its end."""
    _request(layout, "stopProcess", name, wait=True, settled="NOT_RUNNING")


def _request(layout: Layout, method: str, name: str, *, wait: bool, settled: str) -> None:
    """Request a change of one service from supervisord; the fault `settled` means that it is so already."""
    try:
        getattr(control(layout), method)(name, wait)
    except xmlrpc.client.Fault as fault:
        if settled not in fault.faultString:
            raise StackError(f"{method} of {name} failed: {fault.faultString}") from fault
