"""The command's side: hands the command over, passes signals on, and ends as the command ended there."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cilake.job_server.protocol import SOCKET_SETTING, receive, send

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LOST = 1
"""The exit code when the server ended before the command: another try may succeed."""


def run_at_server(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int | None:
    """Run a command at the server and return its exit code; ``None`` when there is no server.

    A server that is set and does not respond is reported in one line.
    """
    path = environment.get(SOCKET_SETTING, "")
    if not path:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
            given = {"arguments": list(arguments), "environment": dict(environment)}
            send(connection, given | {"folder": str(Path.cwd())}, (0, 1, 2))
            reply, _ = receive(connection)
        except (OSError, ValueError) as error:
            _log(f"job server: {path} does not respond ({error}); this command runs by itself")
            return None
        if not reply or "started" not in reply:
            reason = reply["refused"] if reply else "it has ended"
            _log(f"job server: {reason}: this command runs by itself")
            return None
        return _wait(connection)


def _wait(connection: socket.socket) -> int:
    """Return the exit code of the command; pass signals on meanwhile."""
    for number in PASSED_ON:
        signal.signal(number, lambda sent, _: send(connection, {"signal": sent}))
    try:
        reply, _ = receive(connection)
    except (OSError, ValueError):
        reply = None
    if reply is None:
        _log("cilake: the job server ended during the command: run it again")
        return LOST
    code = int(reply["ended"])
    return code if code >= 0 else 128 - code


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
