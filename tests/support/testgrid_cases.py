"""The situations of ``testgrid-cases``, and a service that replies as one of their nights does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
from tests.support.grids import make_table

CASES = Path(__file__).parents[3] / "shared/data/testgrid-cases"
ORDINARY = make_table({"Overall": [1], "a": [1]})


def load(number: int) -> dict[str, Any]:
    """Return the case of a number, its nights with all their replies."""
    (path,) = CASES.glob(f"{number:02d}-*.json")
    case: dict[str, Any] = orjson.loads(path.read_bytes())
    for night in case.get("nights", ()):
        if "same_as" in night:
            night |= case["nights"][night["same_as"]] | night
        for place in range(night.get("ordinary_tabs", 0)):
            night["replies"]["/example/summary"]["body"][f"ordinary-{place}"] = {}
            night["replies"][f"/example/table#ordinary-{place}"] = {"status": 200, "body": ORDINARY}
    return case


@contextmanager
def serve(replies: dict[str, Any], served: str) -> Iterator[str]:
    """Reply by path as given, by a clock that stands at ``served``; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query, keep_blank_values=True)
            key = unquote(parts.path) + "".join(f"#{tab}" for tab in query.get("tab", ()))
            stale = f"{key}&stale" if "show-stale-tests" in query else key
            reply = replies.get(stale) or replies.get(key) or {"status": 404, "text": ""}
            body = orjson.dumps(reply["body"]) if "body" in reply else reply["text"].encode()
            self.send_response_only(reply["status"])
            self.send_header("Date", format_datetime(datetime.fromisoformat(served), usegmt=True))
            self.send_header("ETag", f'"{len(body)}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
