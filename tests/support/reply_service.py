"""A service on a free port that replies what a test sets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.landing_service import DATE

Replies = dict[str, Any]
"""Status, body and further headers by path, or by ``path#tab`` for a tab; ``None`` is a lost connection.

``path#tab&stale`` is the reply to a request that also wants stale tests, where it differs.
``Date`` is the clock of the service, ``Date<path>`` that of one reply.
"""


@contextmanager
def reply_service() -> Iterator[tuple[str, Replies]]:
    """Yield the address of a service and its replies, which may change while it runs."""
    replies: Replies = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path, query = unquote(parts.path), parse_qs(parts.query, keep_blank_values=True)
            tab = query.get("tab", [""])[-1]
            stale = "&stale" if "show-stale-tests" in query else ""
            keys = (f"{path}#{tab}{stale}", f"{path}#{tab}", path)
            reply = next((replies[key] for key in keys if key in replies), (404, b""))
            if reply is None:  # the connection is lost
                return
            status, body, *headers = reply
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            date = replies.get(f"Date{path}#{tab}") or replies.get("Date", DATE)
            self.send_header("Date", date)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", replies
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def closed_port() -> Iterator[str]:
    """Yield the address of a port that nobody listens on: bound, so that nobody else takes it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
