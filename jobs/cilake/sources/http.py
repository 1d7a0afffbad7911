"""Polite HTTP: conditional requests, honoured waits, bounded retries, bodies bounded in size and time."""

from __future__ import annotations

import random
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from cilake.errors import CilakeError
from cilake.landing.budget import Share
from cilake.sources.bounds import Bounds, bound_reads
from cilake.windows import LAST_DAY

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
FAILING = frozenset({500, 502, 504})
"""Statuses of a service that cannot make one reply; 503 and the like mean that it cannot make any now."""

REPLY_SECONDS = 600
"""How long one reply may take to arrive: a service that drips would hold a connection all night."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "cilake"}
_PIECE_BYTES = 1024 * 1024


class FetchError(CilakeError):
    """A reply that was not obtained within the attempts and the deadline; says what the service did.

    ``last`` is the reply to the last attempt, where there was one: its status and when it was made.
    """

    def __init__(self, message: str, last: Reply | None = None) -> None:
        """Make an error with that message."""
        super().__init__(message)
        self.last = last


class FailingError(FetchError):
    """A reply that the service fails to make: it responds each time with a status of ``FAILING``."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP reply; ``served_at`` is the server's own clock, from its Date header."""

    status: int
    body: bytes
    etag: str | None
    fetched_at: datetime
    served_at: datetime


class Client:
    """A client of one service, safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        *,
        deadline: float,
        attempts: int,
        limit_bytes: int,
        concurrency: int = 8,
        headers: Mapping[str, str] | None = None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """Make a client for ``base_url``; no pause outlasts ``deadline`` (of ``time.monotonic``).

        ``headers`` go with every request, such as one that says who asks.
        """
        self.address = str(httpx.URL(base_url).copy_with(userinfo=b"")).rstrip("/")
        self._deadline = deadline
        self._attempts = attempts
        self._limit_bytes = limit_bytes
        self._closed = threading.Event()
        self._bounds = Bounds()
        self._wait = wait or self._closed.wait
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            timeout=httpx.Timeout(60.0, connect=10.0),
            limits=httpx.Limits(max_connections=concurrency),
            headers=_HEADERS | dict(headers or {}),
            follow_redirects=False,
        )
        bound_reads(self._http, self._bounds, self._closed)

    def close(self) -> None:
        """Close all connections; what waits for a reply in other threads ends within a second."""
        self._closed.set()
        self._http.close()

    def get(
        self,
        path: str,
        params: dict[str, str] | None = None,
        etag: str | None = None,
        share: Share | None = None,
    ) -> Reply:
        """Return the reply to a GET: 200, 304 (when ``etag`` still holds) or a final error status.

        The bytes of the body are taken from ``share`` as they come.

        Raises:
            FetchError: when no complete reply came within the attempts and the deadline.

        """
        problem = "was not requested"
        last: Reply | None = None
        failures = 0
        for attempt in range(self._attempts):
            asked_wait = 0.0
            try:
                reply, asked_wait = self._attempt(path, params, etag, share)
                if reply.status not in RETRIED:
                    return reply
                last = replace(reply, body=b"")
                problem = f"answers HTTP {reply.status}"
                failures += reply.status in FAILING
            except httpx.InvalidURL as error:
                raise FetchError(f"was not requested: {str(error)[:1].lower()}{str(error)[1:200]}") from error
            except (httpx.TransportError, httpx.DecodingError) as error:
                last = None
                problem = f"does not respond: {_reason(error)}"
            # Full jitter, so that concurrent clients do not retry at the same moment.
            pause = max(asked_wait, random.uniform(0.05, 0.25 * 2**attempt))  # noqa: S311
            if attempt + 1 == self._attempts:
                break
            if time.monotonic() + pause > self._deadline:
                raise FetchError(f"{problem}, and waiting {pause:.0f} s more would pass the time bound", last)
            self._wait(pause)
        raise (FailingError if failures == self._attempts else FetchError)(problem, last)

    def _attempt(
        self, path: str, params: dict[str, str] | None, etag: str | None, share: Share | None
    ) -> tuple[Reply, float]:
        if share:
            share.give_back()
        if self._closed.is_set() or time.monotonic() > self._deadline:
            raise FetchError("was not requested: the time bound of the landing has passed")
        headers = {"If-None-Match": etag} if etag else {}
        until = self._bounds.until = min(self._deadline, time.monotonic() + REPLY_SECONDS)
        with self._stream(path, params, headers, until) as response:
            body = bytearray()
            for piece in _decode(response):
                if share:
                    share.take(len(piece))
                body += piece
                if len(body) > self._limit_bytes:
                    raise FetchError(f"answers with a body larger than {self._limit_bytes:,} bytes")
                if time.monotonic() > until:
                    raise FetchError(
                        f"answers too slowly: {len(body):,} bytes and no end within the time bound"
                    )
            fetched_at = datetime.now(UTC)
            reply = Reply(
                status=response.status_code,
                body=bytes(body),
                etag=_read_etag(response.headers.get("ETag")),
                fetched_at=fetched_at,
                served_at=_read_date(response.headers.get("Date")) or fetched_at,
            )
            return reply, _read_retry_after(response.headers.get("Retry-After"), reply.served_at)

    @contextmanager
    def _stream(
        self, path: str, params: dict[str, str] | None, headers: dict[str, str], until: float
    ) -> Iterator[httpx.Response]:
        """Yield the response to a GET.

        Raises:
            FetchError: when it is not complete at the instant ``until``.

        """
        try:
            with self._http.stream("GET", path, params=params, headers=headers) as response:
                yield response
        except httpx.ReadTimeout as error:
            if time.monotonic() < until:
                raise
            raise FetchError("answers too slowly: no complete reply within the time bound") from error


def _decode(response: httpx.Response) -> Iterator[bytes]:
    """Yield the body as it arrives, in pieces of a bounded size.

    httpx would decompress all that has arrived at once, and some kilobytes can hold gigabytes.

    Raises:
        FetchError: when the body is encoded in another way than was requested.
        httpx.DecodingError: when its gzip cannot be read, or ends early.

    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        yield from response.iter_raw()
        return
    if encoding not in ("gzip", "x-gzip"):
        raise FetchError(f"answers in the encoding {encoding[:40]!r}, where gzip was asked for")
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    has_begun = False
    for arrived in response.iter_raw():
        has_begun = True
        while arrived:
            if member.eof:  # gzip may hold several members, one after the other (RFC 1952, 2.2)
                member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            try:
                yield member.decompress(arrived, _PIECE_BYTES)
            except zlib.error as error:
                raise httpx.DecodingError(f"its gzip cannot be read: {error}") from error
            arrived = member.unused_data if member.eof else member.unconsumed_tail
    if has_begun and not member.eof:
        raise httpx.DecodingError("its gzip ends early")


def _reason(error: httpx.HTTPError) -> str:
    """Return what the operating system or the HTTP client says, without the number of the error."""
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    return text[:1].lower() + text[1:] if text else type(error).__name__


def _read_etag(text: str | None) -> str | None:
    """Return the entity tag if it can be sent back (RFC 9110, 8.8.3, without the obsolete bytes)."""
    return text if text and text.isascii() and text.isprintable() else None


def _read_date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text).astimezone(UTC) if text else None
        return found if found is None or found.year < LAST_DAY.year else None
    except (ValueError, OverflowError):  # no date, or one outside of the calendar
        return None


def _read_retry_after(text: str | None, served_at: datetime) -> float:
    """Return seconds to wait, from either form of the header (RFC 9110, 10.2.3); 0 when unreadable."""
    if not text:
        return 0.0
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return float(text)
    until = _read_date(text)
    return max(0.0, (until - served_at).total_seconds()) if until else 0.0
