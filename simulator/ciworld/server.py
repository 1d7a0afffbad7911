"""The HTTP server of ciworld: the addresses of the services it plays, its own /_ciworld/ ones, and faults."""

import itertools
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from ciworld.clock import Clock, iso, parse_instant
from ciworld.faults import Fault, Faults
from ciworld.payload import Json, Payload
from ciworld.services.base import Request, Response, ServedWorld, refusal
from ciworld.state import StateError, StateFile

MAX_BODY_BYTES = 1024 * 1024


class WorldServer(ThreadingHTTPServer):
    """A server of one world on loopback; `url` is its address."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        world: ServedWorld,
        clock: Clock,
        faults: Faults,
        port: int = 0,
        state: StateFile | None = None,
    ):
        self.world = world
        self.clock = clock
        self.faults = faults
        self._state = state
        self.answers = itertools.count(1)
        super().__init__(("127.0.0.1", port), Handler)
        try:
            self.save()
        except StateError:
            self.server_close()
            raise

    @property
    def url(self) -> str:
        """Return the base address of the server."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def save(self) -> None:
        """Write clock and faults to the state file, where there is one."""
        if self._state:
            self._state.write(self.clock, self.faults)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error of a connection; a client that went away is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """The handler of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "ciworld"
    sys_version = ""
    timeout = 120
    # Without this the small last packet of a response waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: WorldServer

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the simulated time for the Date header."""
        return self.server.clock.http_date()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing per request: a collector sends thousands of requests."""

    def do_GET(self) -> None:
        """Serve a GET."""
        self._answer("GET")

    def do_HEAD(self) -> None:
        """Serve a HEAD."""
        self._answer("HEAD")

    def do_POST(self) -> None:
        """Serve a POST."""
        self._answer("POST")

    def do_DELETE(self) -> None:
        """Serve a DELETE."""
        self._answer("DELETE")

    def do_PUT(self) -> None:
        """Serve a PUT, which nothing allows."""
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            # Most responses do not read the request's body, so the connection cannot be used again.
            self.close_connection = True
        try:
            parts = urlsplit(self.path)
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        try:
            if parts.path.startswith("/_ciworld/"):
                self._admin(method, parts.path.removeprefix("/_ciworld/"))
                return
            if method not in ("GET", "HEAD"):
                self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", {"Allow": "GET, HEAD"})
                return
            request = Request(parts.path, parts.query, self.server.clock.as_of, self.server.url)
            if page := self._response(request, for_people=True):
                self._respond(page, None)
                return
            fault = self.server.faults.strike(self.path)
            if fault and fault.times is not None:
                self.server.save()
            if fault and self._misbehave(fault):
                return
            missing = refusal(HTTPStatus.NOT_FOUND, f"{quote(parts.path)} not found")
            self._respond(self._response(request, for_people=False) or missing, fault)
        except (ValueError, StateError) as error:
            # A recording that cannot be read is the server's failure, and the message says which file.
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    def _response(self, request: Request, for_people: bool) -> Response | None:
        """Return the response of the first service that has the address; faults do not strike pages."""
        asked = (service for service in self.server.world.services if service.is_for_people == for_people)
        return next((found for service in asked if (found := service.respond(request)) is not None), None)

    def _respond(self, response: Response, fault: Fault | None) -> None:
        if isinstance(response, Payload):
            self._send_payload(response, fault)
        else:
            self._send(response.status, response.body, response.headers)

    def _send_payload(self, payload: Payload, fault: Fault | None) -> None:
        headers = {"ETag": payload.etag, "Vary": "Accept-Encoding", "Cache-Control": "no-cache"}
        asked = [tag.strip().removeprefix("W/") for tag in self.headers.get("If-None-Match", "").split(",")]
        if payload.etag in asked or "*" in asked:
            self._send(HTTPStatus.NOT_MODIFIED, b"", headers)
            return
        count = next(self.server.answers)
        if accepts_gzip(self.headers.get("Accept-Encoding", "")):
            body = payload.gzipped(count)
            headers["Content-Encoding"] = "gzip"
        else:
            body = payload.plain(count)
        headers["Content-Type"] = "application/json"
        self._send(HTTPStatus.OK, body, headers, truncate=bool(fault and fault.kind == "truncate"))

    def _misbehave(self, fault: Fault) -> bool:
        """Return whether the fault has handled the request."""
        if fault.kind == "slow":
            time.sleep(fault.seconds)
            return False
        if fault.kind == "429":
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "slow down", {"Retry-After": f"{fault.retry_after:g}"})
            return True
        if fault.kind == "500":
            page = b"<html><head><title>500</title></head><body>Internal Server Error</body></html>"
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, page, {"Content-Type": "text/html"})
            return True
        if fault.kind == "malformed":
            self._send(HTTPStatus.OK, b'{"tests": [{"name": ', {"Content-Type": "application/json"})
            return True
        return False

    def _admin(self, method: str, what: str) -> None:
        routes: dict[tuple[str, str], Callable[[], Json | None]] = {
            ("GET", "clock"): self._clock,
            ("POST", "clock"): self._set_clock,
            ("GET", "faults"): lambda: {"faults": self.server.faults.describe()},
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "truth"): self.server.world.truth,
            ("GET", "world"): self.server.world.describe,
            ("GET", "health"): lambda: {"ok": True},
        }
        allowed = sorted(verb for verb, name in routes if name == what)
        if not allowed:
            self._refuse(HTTPStatus.NOT_FOUND, "no such address")
            return
        if method not in allowed:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "not allowed", {"Allow": ", ".join(allowed)})
            return
        try:
            answer = routes[method, what]()
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        if answer is None:
            self._refuse(HTTPStatus.NOT_FOUND, "nothing was planted in this world")
            return
        self._send_json(answer)

    def _clock(self) -> Json:
        as_of = self.server.clock.as_of
        return {"as_of": iso(as_of) if as_of else None}

    def _set_clock(self) -> Json:
        body = self._body()
        if not isinstance(body, dict) or set(body) != {"as_of"}:
            raise ValueError('the clock is set with {"as_of": "<ISO 8601>" or null}')
        self.server.clock.set(parse_instant(body["as_of"]) if body["as_of"] is not None else None)
        self.server.save()
        return self._clock()

    def _add_faults(self) -> Json:
        self.server.faults.add(self._body())
        self.server.save()
        return {"faults": self.server.faults.describe()}

    def _clear_faults(self) -> Json:
        self.server.faults.clear()
        self.server.save()
        return {"faults": []}

    def _body(self) -> object:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise ValueError(f"a body of at most {MAX_BODY_BYTES} bytes with Content-Length is needed")
        try:
            return orjson.loads(self.rfile.read(int(length)))
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the body is not JSON: {error}") from error

    def _send_json(self, doc: Json) -> None:
        self._send(HTTPStatus.OK, orjson.dumps(doc), {"Content-Type": "application/json"})

    def _refuse(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        page = refusal(status, text)
        self._send(page.status, page.body, page.headers | (headers or {}))

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str], truncate: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        if truncate or self.close_connection:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD" and status != HTTPStatus.NOT_MODIFIED:
            self.wfile.write(body[: len(body) // 2] if truncate else body)
        self.wfile.flush()


def accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip."""
    for part in header.lower().split(","):
        coding, _, weight = part.strip().partition(";")
        if coding.strip() in ("gzip", "*") and weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00"):
            return True
    return False
