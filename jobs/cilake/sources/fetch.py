"""One reply of a source as an envelope: conditional, compared with what is known, refused with a reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cilake.landing.envelope import Envelope, State, StoredContent
from cilake.sources.errors import UnreadableError, odd_payload
from cilake.sources.http import FetchError, Reply

Get = Callable[[str | None], tuple[Reply, str]]
"""Requests the reply, given the entity tag of the one that is known; returns it with a note or ``""``."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is requested: ``scope`` is what gets the receipt, ``natural_id`` what the payload is about."""

    source: str
    endpoint: str
    scope: str
    natural_id: str


def id_within(scope: str, name: str) -> str:
    """Return the natural id of what a scope calls by that name.

    The first slash is the one between them, so that no other scope gives the same id.
    """
    return f"{scope.replace('%', '%25').replace('/', '%2F')}/{name}"


@dataclass(frozen=True, slots=True)
class Flaws:
    """Whether a reply is less than its source promises, or has a gap to the one before; ``note`` says why."""

    is_stale: bool = False
    gap_hours: float | None = None
    note: str = ""


NO_FLAWS = Flaws()


@dataclass(frozen=True, slots=True)
class Content:
    """What a reply that can be read holds: its digest without what changes on every request."""

    digest: str
    flaws: Flaws = NO_FLAWS
    note: str = ""


def fetch(
    subject: Subject,
    get: Get,
    read: Callable[[Reply], Content],
    previous: StoredContent | None,
    *,
    compare_unmodified: Callable[[datetime, str], Flaws] = lambda served_at, digest: NO_FLAWS,
    conditional: bool = True,
) -> Envelope:
    """Return the envelope of a reply, whatever it is: nothing raises for a single payload.

    ``read`` raises ``UnreadableError`` for a body that is ``rejected``. ``compare_unmodified`` is called for
    the flaws of a reply that only says that the content known by its digest is still the one.
    """
    etag = previous.etag if previous and conditional else None
    try:
        reply, note = get(etag)
    except FetchError as error:
        if error.last:
            return with_reply(subject, "missing", error.last, reason=str(error))
        return without_reply(subject, "missing", str(error))
    if reply.status == 304 and previous and etag:
        digest = previous.etag_content
        if not previous.has(digest, reply.served_at):
            # Another reply came in between: this content starts again, and has to be stored again.
            return fetch(
                subject, get, read, previous, compare_unmodified=compare_unmodified, conditional=False
            )
        flaws = compare_unmodified(reply.served_at, digest)
        return with_reply(
            subject, "unchanged", reply, flaws, reason=_join(note, flaws.note), content_sha256=digest
        )
    if reply.status != 200:
        return with_reply(subject, "missing", reply, reason=f"answers HTTP {reply.status}")
    try:
        content = read(reply)
    except UnreadableError as error:
        return with_reply(subject, "rejected", reply, reason=str(error), payload=reply.body)
    except Exception as error:
        # Whatever a payload can raise concerns this payload alone; it is kept with the reason.
        return with_reply(subject, "rejected", reply, reason=odd_payload(error), payload=reply.body)
    is_known = previous is not None and previous.has(content.digest, reply.served_at)
    return with_reply(
        subject,
        "unchanged" if is_known else "landed",
        reply,
        content.flaws,
        reason=_join(note, content.note, content.flaws.note),
        payload=reply.body,
        payload_sha256=hashlib.sha256(reply.body).hexdigest(),
        content_sha256=content.digest,
    )


def without_reply(subject: Subject, state: State, reason: str) -> Envelope:
    """Return the envelope of what was not requested, or got no response: its time is that of our clock."""
    now = datetime.now(UTC)
    return Envelope(
        subject.source, subject.endpoint, subject.scope, subject.natural_id, state, now, now, reason=reason
    )


def with_reply(
    subject: Subject, state: State, reply: Reply, flaws: Flaws = NO_FLAWS, **rest: Any
) -> Envelope:
    """Return the envelope of a reply, with its times."""
    return replace(
        without_reply(subject, state, ""),
        fetched_at=reply.fetched_at,
        served_at=reply.served_at,
        http_status=reply.status,
        etag=reply.etag,
        is_stale=flaws.is_stale,
        gap_hours=flaws.gap_hours,
        **rest,
    )


def _join(*notes: str) -> str:
    return "; ".join(filter(None, notes))
