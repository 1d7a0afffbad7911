"""What a collector hands over: one payload and the facts of how it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

State = Literal["landed", "unchanged", "rejected", "missing"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One reply of a source.

    ``state`` says what became of it: ``landed`` (new or changed, to be stored), ``unchanged`` (equal to the
    last one stored), ``rejected`` (cannot be read; ``reason`` says why) or ``missing`` (not obtained).
    """

    source: str
    endpoint: str
    scope: str
    natural_id: str
    state: State
    fetched_at: datetime
    served_at: datetime
    http_status: int | None = None
    etag: str | None = None
    payload: bytes = b""
    payload_sha256: str = ""
    content_sha256: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored under a natural id up to a day: the content stored last, and all of that day."""

    content_sha256: str
    etag: str | None
    of_day: frozenset[str] = frozenset()

    def has(self, content_sha256: str) -> bool:
        """True when storing this content for the day would repeat what is there."""
        return content_sha256 == self.content_sha256 or content_sha256 in self.of_day
