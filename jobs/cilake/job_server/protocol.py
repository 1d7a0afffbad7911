"""How a command and the server speak: JSON messages over a Unix socket, the first with open files."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

SOCKET_SETTING = "CILAKE_JOB_SERVER"
"""The setting with the path of the server's socket."""
_LENGTH = struct.Struct("!I")
_MAX_BYTES = 16 * 1024 * 1024
_FILES = 3


def send(connection: socket.socket, message: object, files: Sequence[int] = ()) -> None:
    """Send a message, with the open files if any."""
    body = json.dumps(message).encode()
    socket.send_fds(connection, [_LENGTH.pack(len(body))], list(files))
    connection.sendall(body)


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
    """Return the next message, ``None`` when the other side has ended, and the open files that came along."""
    head, files, _, _ = socket.recv_fds(connection, _LENGTH.size, _FILES)
    if not head:
        return None, files
    head += _read(connection, _LENGTH.size - len(head))
    (size,) = _LENGTH.unpack(head)
    if size > _MAX_BYTES:
        raise ConnectionError(f"a message of {size:,} bytes")
    return json.loads(_read(connection, size)), files


def _read(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = connection.recv(min(size, 1 << 16))
        if not part:
            raise ConnectionError("the connection ended within a message")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
