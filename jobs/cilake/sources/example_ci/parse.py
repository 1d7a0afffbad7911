"""Listings of builds, read strictly: the format is in the README of this folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cilake.contracts.vocabulary.ci import RUNNING, SKIPPED
from cilake.sources.decoder import Decode, payload_decoder
from cilake.sources.errors import UnreadableError
from cilake.sources.payload import content_digest, parse_object
from cilake.sources.runs import Decoded, Reject, Result, Run, decode_runs, shorten

DECODER_VERSION = 1
"""Raised whenever this module reads the same payload differently."""
CI_INSTANCE = "example_ci"
STATUSES = {
    "passed": "passed",
    "failed": "failed",
    "flaky": "flaky",
    "skipped": SKIPPED,
    "running": RUNNING,
}
"""Our word for each status of a build or a test."""


def build_decoder() -> Decode:
    """Return the ``mapInArrow`` function from stored listings to their runs and rejects."""
    return payload_decoder(
        lambda payload, served_at: read_builds(parse_object(payload), served_at), version=DECODER_VERSION
    )


def read_builds(document: dict[str, Any], served_at: datetime) -> Decoded:
    """Return the runs of a listing served at a moment, and the builds that are refused.

    Raises:
        UnreadableError: when it is no listing.

    """
    builds = document.get("builds")
    if not isinstance(builds, list):
        raise UnreadableError("not_a_listing: builds is no list")
    return decode_runs(_read(builds), served_at=served_at)


def describe(payload: bytes) -> Mapping[str, object]:
    """Return how a payload would be read: its ``status``, and counts or the ``reason``."""
    try:
        document = parse_object(payload)
        content_digest(document)
        decoded = read_builds(document, datetime.now(UTC))
    except UnreadableError as error:
        return {"endpoint": "builds", "status": "rejected", "reason": str(error)}
    return {
        "endpoint": "builds",
        "status": "landed",
        "run_count": decoded.runs.num_rows,
        "refused_count": len(decoded.rejects),
        "reason": decoded.rejects[0].reason if decoded.rejects else "",
    }


def _read(builds: list[Any]) -> Iterator[Run | Reject]:
    for build in builds:
        try:
            yield _read_build(build)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            build_id = build.get("build") if isinstance(build, dict) else None
            reason = f"malformed_build: {type(error).__name__}: {str(error)[:200]}"
            yield Reject(reason, build_id=build_id if isinstance(build_id, str) else None)


def _read_build(build: dict[str, Any]) -> Run:
    status = build.get("status")
    return Run(
        ci_instance=CI_INSTANCE,
        job_name=_text(build["job"]),
        build_id=_text(build["build"]),
        started_at=_instant(build["started_at"]),
        status=None if status is None else STATUSES[status],
        url=_text_or_none(build.get("url")),
        results=[
            Result(_text(test["name"]), STATUSES[test["status"]], _text_or_none(test.get("message")))
            for test in build["tests"]
        ],
    )


def _instant(text: Any) -> datetime:
    at = datetime.fromisoformat(_text(text))
    if at.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return at.astimezone(UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{shorten(value)} is no text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)
