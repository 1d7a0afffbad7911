"""What the server and the services know of each other: requests, responses and the contract of a service."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from ciworld.clock import Span
from ciworld.payload import Json, Payload


@dataclass(frozen=True)
class Request:
    """A GET: its path and query as sent, the simulated time, and the base address of the server."""

    path: str
    query: str
    as_of: datetime | None
    address: str


@dataclass(frozen=True)
class Page:
    """A response that is small and made again each time: a page, a listing or a refusal."""

    status: HTTPStatus
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Response = Payload | Page


class Service(Protocol):
    """A service of the outside world."""

    is_for_people: bool
    """Whether it serves pages for people: no fault strikes those."""

    def respond(self, request: Request) -> Response | None:
        """Return the response to a request, or None when its address is of another service."""


@dataclass(frozen=True)
class ServedWorld:
    """A world, synthetic or recorded, with the services that show it."""

    services: tuple[Service, ...]
    identity: Json
    """What identifies this world, as JSON-ready values."""
    span: Callable[[], Span | None]
    """Returns the first and the last day of the world, or None when it has none."""
    truth: Callable[[], Json | None]
    """Returns what was planted in the world, or None when nobody knows."""

    def describe(self) -> Json:
        """Return which world it is, with its first and last day (None when it has no run)."""
        span = self.span()
        days = {"first_day": span.first.isoformat(), "last_day": span.last.isoformat()} if span else {}
        return {**self.identity, "first_day": None, "last_day": None, **days}


def refusal(status: HTTPStatus, text: str) -> Page:
    """Return the response that refuses a request with a line of text."""
    return Page(status, f"{text}\n".encode("utf-8", "replace"), {"Content-Type": "text/plain; charset=utf-8"})
