"""The collector: dashboards from patterns, tabs from summaries, tables fetched concurrently."""

from __future__ import annotations

import fnmatch
import hashlib
from collections import deque
from collections.abc import Container, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any
from urllib.parse import quote

from cilake.errors import PermanentError, SourceError
from cilake.landing.budget import ByteBudget, Share
from cilake.landing.envelope import Envelope, Known, State
from cilake.sources.testgrid.client import Client, FailingError, FetchError, Reply
from cilake.sources.testgrid.errors import UnreadableError
from cilake.sources.testgrid.parse import Decoded, content_digest, parse_object, read_table, read_tabs
from cilake.sources.testgrid.promises import (
    Kept,
    Promise,
    compare_table,
    compare_unmodified,
    find_unlisted,
    read_promise,
)
from cilake.sources.testgrid.source import SOURCE

WILDCARDS = frozenset("*?[")
LISTING = "/api/v1/dashboards"
STALE_ROWS = "show-stale-tests"
WITHOUT_STALE_ROWS = "without stale rows"
"""What the reason of an envelope says when its table came only by a request without its stale rows."""
ALL_KEPT = Kept()
_READING = Lock()
"""One reply is read at a time: the interpreter does no two at once, and a large one takes much memory."""


class DashboardError(PermanentError, LookupError):
    """A configured dashboard or pattern that the service does not know."""


def name_service(client: Client) -> str:
    """Return how an error names the service: its title, its address and the setting that gives it."""
    return f"{SOURCE.title} at {client.address} ({SOURCE.address_setting})"


def find_dashboards(client: Client, patterns: list[str]) -> tuple[list[str], list[str]]:
    """Return the dashboards that the patterns name, and the patterns that match none.

    Literal names are taken as they are, wildcards against the service's listing.

    Raises:
        SourceError: when a wildcard needs the listing and it cannot be read.
        DashboardError: when no pattern matches anything.

    """
    names: dict[str, None] = {}
    unmatched: list[str] = []
    listing: list[str] | None = None
    for pattern in patterns:
        if not WILDCARDS & set(pattern):
            names[pattern] = None
            continue
        if listing is None:
            listing = _read_listing(client)
        if matches := fnmatch.filter(listing, pattern):
            names.update(dict.fromkeys(matches))
        else:
            unmatched.append(pattern)
    if unmatched and not names:
        raise DashboardError(
            f"no dashboard matches {', '.join(map(repr, unmatched))} (CILAKE_TESTGRID_DASHBOARDS): "
            f"{name_service(client)} lists {len(listing or ())} dashboards; correct the pattern"
        )
    return list(names), unmatched


def find_retired(
    patterns: list[str], dashboards: list[str], known: Mapping[str, Known], day: date
) -> list[str]:
    """Return the dashboards that a wildcard named in the days before ``day`` and no longer does.

    ``known`` holds the earlier summaries by dashboard.
    """
    wildcards = [pattern for pattern in patterns if WILDCARDS & set(pattern)]
    return [
        name
        for name in find_unlisted(dashboards, known, "", day)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in wildcards)
    ]


def extract_retired(
    retired: list[str], known: dict[str, dict[str, Known]], *, day: date, left_out: Container[str] = ()
) -> Iterator[Envelope]:
    """The envelopes of dashboards that are no longer listed: all that was theirs is ``unlisted``."""
    reason = "its dashboard is no longer in the list of all"
    for dashboard in retired:
        yield _without_reply(
            "summary", dashboard, dashboard, "unlisted", "no longer in the list of all dashboards"
        )
        for natural_id in find_unlisted((), known["table"], f"{dashboard}/", day):
            if natural_id not in left_out:
                yield _without_reply("table", dashboard, natural_id, "unlisted", reason)


def _read_listing(client: Client) -> list[str]:
    try:
        reply = client.get(LISTING)
    except FetchError as error:
        raise SourceError(
            f"{name_service(client)} {error}; check the address, or run again when it is back"
        ) from error
    if reply.status != 200:
        # The public front end of TestGrid has no listing: only literal names work there.
        raise SourceError(
            f"{name_service(client)} answers HTTP {reply.status} to {LISTING}: check the address, or name "
            "the dashboards without wildcards (CILAKE_TESTGRID_DASHBOARDS=sig-release-master-blocking,…)"
        )
    try:
        names = [entry["name"] for entry in parse_object(reply.body).get("dashboards", [])]
        if not set(map(type, names)) <= {str}:
            raise UnreadableError("not_a_listing: a name is no text")
        return sorted(names)
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
    day: date,
    ahead: int,
    budget: ByteBudget,
    left_out: Container[str] = (),
) -> Generator[Envelope]:
    """The envelopes of the dashboards in order: of each its summary, then one per tab the summary lists.

    ``known`` holds the earlier replies, by endpoint and natural id. At most ``ahead`` replies are asked for
    or waiting to be taken, with no more bytes than ``budget`` has. Nothing raises for a single payload: an
    unreadable one is ``rejected``, one not obtained is ``missing``. Tabs that were obtained for the days
    before ``day`` and are not listed follow as ``unlisted``, or as ``missing`` where the summary was not
    obtained; those in ``left_out`` are not asked for, nor looked for.
    """
    waiting: deque[tuple[Future[Envelope], Share]] = deque()

    def fetch_table(dashboard: str, tab: str, promise: Promise, share: Share) -> Envelope:
        natural_id = f"{dashboard}/{tab}"
        previous = known["table"].get(natural_id)
        return _fetch(client, "table", dashboard, natural_id, {"tab": tab}, previous, promise, share)[0]

    def wait_for(envelope: Envelope) -> None:
        waiting.append((_done(envelope), budget.share()))

    def take_next() -> Iterator[Envelope]:
        future, share = waiting.popleft()
        try:
            yield future.result()
        finally:
            share.close()

    try:
        for dashboard in dashboards:
            # The summary is asked for whole every time: it lists the tabs, and it is small.
            previous = known["summary"].get(dashboard)
            summary, document = _fetch(
                client, "summary", dashboard, dashboard, {}, previous, conditional=False
            )
            wait_for(summary)
            listed = read_tabs(document) if document else {}
            for tab, entry in listed.items():
                if f"{dashboard}/{tab}" in left_out:
                    continue
                while len(waiting) >= ahead:
                    yield from take_next()
                share = budget.share()
                future = pool.submit(fetch_table, dashboard, tab, read_promise(entry), share)
                waiting.append((future, share))
            prefix = f"{dashboard}/"
            absent = _find_absence(summary, document)
            for natural_id in find_unlisted((prefix + tab for tab in listed), known["table"], prefix, day):
                if natural_id not in left_out:
                    wait_for(_without_reply("table", dashboard, natural_id, *absent))
        while waiting:
            yield from take_next()
    finally:
        for future, share in waiting:
            future.cancel()
            share.close()


def _done(envelope: Envelope) -> Future[Envelope]:
    future: Future[Envelope] = Future()
    future.set_result(envelope)
    return future


def _find_absence(summary: Envelope, document: dict[str, Any] | None) -> tuple[State, str]:
    """Return what a table is that its dashboard's summary does not list, and why."""
    if document:
        return "unlisted", "no longer in the summary of its dashboard"
    if document is not None or summary.http_status == 404:
        return "unlisted", "its dashboard lists no tab"
    if summary.state == "rejected":
        return "missing", f"the summary of its dashboard is unreadable: {summary.reason}"
    return "missing", summary.reason


def _without_reply(endpoint: str, dashboard: str, natural_id: str, state: State, reason: str) -> Envelope:
    """Return the envelope of what nobody was asked for, or did not answer: only our clock tells its time."""
    now = datetime.now(UTC)
    return Envelope(SOURCE.name, endpoint, dashboard, natural_id, state, now, now, reason=reason)


def _fetch(
    client: Client,
    endpoint: str,
    dashboard: str,
    natural_id: str,
    params: dict[str, str],
    previous: Known | None,
    promise: Promise | None = None,
    share: Share | None = None,
    *,
    conditional: bool = True,
) -> tuple[Envelope, dict[str, Any] | None]:
    """One envelope, and for a readable summary its document."""
    etag = previous.etag if previous and conditional else None
    try:
        reply, note = _get(client, f"/{quote(dashboard, safe='')}/{endpoint}", params, etag, share)
    except FetchError as error:
        if error.last:
            return _envelope(endpoint, dashboard, natural_id, "missing", error.last, reason=str(error)), None
        return _without_reply(endpoint, dashboard, natural_id, "missing", str(error)), None
    if reply.status == 304 and etag:
        content = previous.etag_content if previous else ""
        kept = compare_unmodified(promise or Promise(), reply.served_at, previous, content)
        return _envelope(
            endpoint, dashboard, natural_id, "unchanged", reply, kept, reason=_join(note, kept.note),
            content_sha256=content,
        ), None  # fmt: skip
    if reply.status != 200:
        return _envelope(
            endpoint, dashboard, natural_id, "missing", reply, reason=f"answers HTTP {reply.status}"
        ), None  # fmt: skip
    kept = ALL_KEPT
    try:
        with _READING:
            document = parse_object(reply.body)
            digest = content_digest(document)
            if endpoint == "table":
                table = read_table(document, served_at=reply.served_at)
                kept = compare_table(promise or Promise(), table, reply.served_at, previous)
                note = _join(note, _sum_up(table), kept.note)
                document = {}
            else:
                read_tabs(document)
    except UnreadableError as error:
        return _envelope(
            endpoint, dashboard, natural_id, "rejected", reply, reason=str(error), payload=reply.body
        ), None  # fmt: skip
    state: State = "unchanged" if previous and previous.has(digest, reply.served_at) else "landed"
    envelope = _envelope(
        endpoint,
        dashboard,
        natural_id,
        state,
        reply,
        kept,
        reason=note,
        payload=reply.body,
        payload_sha256=hashlib.sha256(reply.body).hexdigest(),
        content_sha256=digest,
    )
    return envelope, document


def _get(
    client: Client, path: str, params: dict[str, str], etag: str | None, share: Share | None
) -> tuple[Reply, str]:
    """Return the reply of an endpoint, and a note where it is less than was asked for.

    A table is asked for with its stale rows. For a tab with very many of them the service fails every time:
    it is then asked once more without.

    Raises:
        FetchError: when no complete reply came.

    """
    if "tab" not in params:
        return client.get(path, params, etag, share), ""
    try:
        return client.get(path, {STALE_ROWS: "", **params}, etag, share), ""
    except FailingError as error:
        try:
            reply = client.get(path, params, share=share)
            if reply.status == 304:  # to a request without a tag: no answer
                raise error
            # The tag is of this reply; the next request asks for the stale rows again.
            return replace(reply, etag=None), f"{WITHOUT_STALE_ROWS}: with them the service {error}"
        except FetchError:
            # What the ordinary request met is what people look for.
            raise error from None


def _sum_up(decoded: Decoded) -> str:
    """Return how many columns and rows of a table are refused, with the first reason."""
    if not decoded.rejects:
        return ""
    return f"{len(decoded.rejects)} columns or rows refused: {decoded.rejects[0].reason}"


def _join(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _envelope(
    endpoint: str,
    dashboard: str,
    natural_id: str,
    state: State,
    reply: Reply,
    kept: Kept = ALL_KEPT,
    **rest: Any,
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
        is_stale=kept.is_stale,
        gap_hours=kept.gap_hours,
        **rest,
    )
