"""JSON payloads, read with a bound on what they may hold."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import orjson

from cilake.sources.errors import UnreadableError

MAX_VALUES = 8_000_000
"""Values in a payload, ten times those of the largest recorded: as Python objects 1 GB at most."""


def parse_object(payload: bytes | memoryview) -> dict[str, Any]:
    """Return the JSON object in a payload.

    Raises:
        UnreadableError: when there is none, or more values than can be held in memory.

    """
    # A value takes at least a byte: nearly all payloads are too short to hold too many.
    if len(payload) > MAX_VALUES and (count := _count_values(bytes(payload))) > MAX_VALUES:
        raise UnreadableError(f"too_large: up to {count:,} values, more than {MAX_VALUES:,}")
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise UnreadableError(f"malformed_json: {error}") from None
    if not isinstance(document, dict):
        raise UnreadableError(f"not_an_object: {type(document).__name__}")
    return document


def _count_values(payload: bytes) -> int:
    """Return the most values that the payload can hold: each but one follows a comma or opens a container."""
    return 1 + sum(map(payload.count, (b",", b"[", b"{")))


def content_digest(document: dict[str, Any], *, volatile: Collection[str] = ()) -> str:
    """Return the SHA-256 of an object without the values that change on every request, hex.

    Raises:
        UnreadableError: when the document is nested deeper than can be written again (254 levels).

    """
    return hashlib.sha256(content_of(document, volatile=volatile)).hexdigest()


def content_of(document: dict[str, Any], *, volatile: Collection[str] = ()) -> bytes:
    """Return an object without the values that change on every request, written again.

    Raises:
        UnreadableError: when the document is nested deeper than can be written again (254 levels).

    """
    kept = {key: value for key, value in document.items() if key not in volatile}
    try:
        return orjson.dumps(kept)
    except (TypeError, RecursionError) as error:
        raise UnreadableError(f"too_deep: {error}") from None
