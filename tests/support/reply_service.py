"""A service on a free port that answers what a test sets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote_plus

from tests.support.landing_service import DATE

Replies = dict[str, Any]
"""Status and body by path, or by ``path#tab`` where the query ends with a tab; ``None`` is a lost connection.

``Date`` is the clock of the service, ``Date<path>`` that of one reply.
"""


@contextmanager
def reply_service() -> Iterator[tuple[str, Replies]]:
    """Yield the address of a service and its replies, which may change while it runs."""
    replies: Replies = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            tab = unquote_plus(query.rpartition("tab=")[2])
            reply = replies.get(f"{path}#{tab}", replies.get(path, (404, b"")))
            if reply is None:  # the connection is lost
                return
            status, body = reply
            self.send_response_only(status)
            date = replies.get(f"Date{path}#{tab}") or replies.get("Date", DATE)
            self.send_header("Date", date)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", replies
    server.shutdown()
    server.server_close()


@contextmanager
def closed_port() -> Iterator[str]:
    """Yield the address of a port that nobody listens on: bound, so that nobody else takes it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
