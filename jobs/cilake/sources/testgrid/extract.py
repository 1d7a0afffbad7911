"""The collector: dashboards from patterns, tabs from summaries, tables fetched concurrently."""

from __future__ import annotations

import fnmatch
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from cilake.errors import PermanentError, SourceError
from cilake.landing.envelope import Envelope, Known, State
from cilake.sources.testgrid.client import Client, FetchError, Reply
from cilake.sources.testgrid.parse import (
    UnreadableError,
    content_digest,
    parse_object,
    read_grid,
    read_tabs,
)
from cilake.sources.testgrid.source import SOURCE

WILDCARDS = frozenset("*?[")
LISTING = "/api/v1/dashboards"


class DashboardError(PermanentError, LookupError):
    """A configured dashboard or pattern that the service does not know."""


def name_service(client: Client) -> str:
    """Return how an error names the service: its title, its address and the setting that gives it."""
    return f"{SOURCE.title} at {client.address} ({SOURCE.address_setting})"


def find_dashboards(client: Client, patterns: list[str]) -> list[str]:
    """The dashboards the patterns name: literal names as they are, wildcards against the service's listing.

    Raises:
        SourceError: when a wildcard needs the listing and it cannot be read.
        DashboardError: when a pattern matches nothing.

    """
    names: dict[str, None] = {}
    listing: list[str] | None = None
    for pattern in patterns:
        if not WILDCARDS & set(pattern):
            names[pattern] = None
            continue
        if listing is None:
            listing = _read_listing(client)
        if not (matches := fnmatch.filter(listing, pattern)):
            raise DashboardError(
                f"no dashboard matches {pattern!r} (CILAKE_TESTGRID_DASHBOARDS): {name_service(client)} "
                f"lists {len(listing)} dashboards; correct the pattern"
            )
        names.update(dict.fromkeys(matches))
    return list(names)


def _read_listing(client: Client) -> list[str]:
    try:
        reply = client.get(LISTING)
    except FetchError as error:
        raise SourceError(
            f"{name_service(client)} {error}; check the address, or run again when it is back"
        ) from error
    if reply.status != 200:
        raise SourceError(
            f"{name_service(client)} answers HTTP {reply.status} to {LISTING}: check the address, or name "
            "the dashboards without wildcards (CILAKE_TESTGRID_DASHBOARDS)"
        )
    try:
        return sorted(entry["name"] for entry in parse_object(reply.body).get("dashboards", []))
    except (UnreadableError, KeyError, TypeError) as error:
        raise SourceError(
            f"{name_service(client)} answers {LISTING} with no list of dashboards ({error}): "
            "check the address"
        ) from error


def extract_dashboards(
    client: Client,
    pool: ThreadPoolExecutor,
    dashboards: list[str],
    known: dict[str, dict[str, Known]],
    *,
    ahead: int,
) -> Iterator[Envelope]:
    """The envelopes of the dashboards in order: of each its summary, then one per tab the summary lists.

    ``known`` holds what is stored last, by endpoint and natural id. At most ``ahead`` replies are asked for
    or waiting to be taken. Nothing raises for a single payload: an unreadable one is ``rejected``, one not
    obtained is ``missing``.
    """
    waiting: deque[Future[Envelope]] = deque()

    def fetch_table(dashboard: str, tab: str) -> Envelope:
        natural_id = f"{dashboard}/{tab}"
        previous = known["table"].get(natural_id)
        return _fetch(client, "table", dashboard, natural_id, {"tab": tab}, previous)[0]

    try:
        for dashboard in dashboards:
            # The summary is asked for whole every time: it lists the tabs, and it is small.
            previous = known["summary"].get(dashboard)
            summary, document = _fetch(
                client, "summary", dashboard, dashboard, {}, previous, conditional=False
            )
            waiting.append(Future())
            waiting[-1].set_result(summary)
            for tab in read_tabs(document) if document else []:
                while len(waiting) >= ahead:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(fetch_table, dashboard, tab))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _fetch(
    client: Client,
    endpoint: str,
    dashboard: str,
    natural_id: str,
    params: dict[str, str],
    previous: Known | None,
    *,
    conditional: bool = True,
) -> tuple[Envelope, dict[str, Any] | None]:
    """One envelope, and for a readable summary its document."""
    path = f"/{quote(dashboard, safe='')}/{endpoint}"
    if endpoint == "table":
        params = {"show-stale-tests": "", **params}
    try:
        reply = client.get(path, params, previous.etag if previous and conditional else None)
    except FetchError as error:
        now = datetime.now(UTC)
        return Envelope(
            SOURCE.name, endpoint, dashboard, natural_id, "missing", now, now, reason=str(error)
        ), None  # fmt: skip
    if reply.status == 304:
        return _envelope(endpoint, dashboard, natural_id, "unchanged", reply), None
    if reply.status != 200:
        return _envelope(
            endpoint, dashboard, natural_id, "missing", reply, reason=f"answers HTTP {reply.status}"
        ), None  # fmt: skip
    try:
        document = parse_object(reply.body)
        if endpoint == "table":
            read_grid(document)
        else:
            read_tabs(document)
    except UnreadableError as error:
        return _envelope(
            endpoint, dashboard, natural_id, "rejected", reply, reason=str(error), payload=reply.body
        ), None  # fmt: skip
    digest = content_digest(document)
    state: State = "unchanged" if previous and previous.has(digest) else "landed"
    envelope = _envelope(
        endpoint,
        dashboard,
        natural_id,
        state,
        reply,
        payload=reply.body,
        payload_sha256=hashlib.sha256(reply.body).hexdigest(),
        content_sha256=digest,
    )
    return envelope, document


def _envelope(
    endpoint: str, dashboard: str, natural_id: str, state: State, reply: Reply, **rest: Any
) -> Envelope:
    return Envelope(
        source=SOURCE.name,
        endpoint=endpoint,
        scope=dashboard,
        natural_id=natural_id,
        state=state,
        fetched_at=reply.fetched_at,
        served_at=reply.served_at,
        http_status=reply.status,
        etag=reply.etag,
        **rest,
    )
