"""What a collector hands over: one payload and the facts of how it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args

State = Literal["landed", "unchanged", "rejected", "missing", "unlisted"]
STATES: tuple[State, ...] = get_args(State)
FLAWS = ("stale", "gap")
"""What a reply may be besides: less than its source promises, or later than what the one before showed."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One reply of a source.

    ``state`` says what became of it: ``landed`` (new or changed, to be stored), ``unchanged`` (equal to the
    one served before), ``rejected`` (cannot be read; ``reason`` says why), ``missing`` (not obtained) or
    ``unlisted`` (not requested: obtained in the days before, but no longer in the source's listing, or there
    is none). What a setting names and the source does not know is ``is_unknown``. A reply may be stale (less
    than the listing promises) or have a gap to the one before; then ``reason`` says why.
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
    is_stale: bool = False
    gap_hours: float | None = None
    is_unknown: bool = False

    @property
    def flaws(self) -> list[str]:
        """The flaws of ``FLAWS`` that it has."""
        return [
            name for name, has in zip(FLAWS, (self.is_stale, self.gap_hours is not None), strict=True) if has
        ]


@dataclass(frozen=True, slots=True)
class Fetch:
    """A reply of an earlier landing: when it was served, its content, and whether that is stored with it."""

    served_at: datetime
    content_sha256: str
    is_stored: bool
    partition_date: date
    fetched_at: datetime
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class StoredContent:
    """The earlier replies about one thing, in the order in which they were served."""

    fetches: tuple[Fetch, ...]
    etag: str | None = None
    etag_content: str = ""

    def has(self, content_sha256: str, served_at: datetime) -> bool:
        """Return whether storing this content, served then, would repeat what is there.

        It does when the reply before shows the same, or one of the same instant.
        """
        same_instant = {fetch.content_sha256 for fetch in self.fetches if fetch.served_at == served_at}
        before = [fetch for fetch in self.fetches if fetch.served_at < served_at]
        return content_sha256 in same_instant or (
            not same_instant and bool(before) and before[-1].content_sha256 == content_sha256
        )

    def hidden_by(self, content_sha256: str, served_at: datetime) -> Fetch | None:
        """Return the next reply if it must be stored now, as this content comes before it.

        It was equal to the reply before it when it came, and is no longer.
        """
        after = next((fetch for fetch in self.fetches if fetch.served_at > served_at), None)
        if after is None or after.is_stored or after.content_sha256 == content_sha256:
            return None
        return after
