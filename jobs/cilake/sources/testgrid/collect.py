"""The collector: dashboards from patterns, tabs from summaries, tables fetched concurrently."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Container, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any
from urllib.parse import quote

from cilake.landing.budget import ByteBudget, Share
from cilake.landing.envelope import Envelope, Known, State
from cilake.log import say
from cilake.settings import SettingsError, require_address
from cilake.sources.base import Collected, Landing
from cilake.sources.http import Client, FailingError, FetchError, Reply
from cilake.sources.testgrid import limits
from cilake.sources.testgrid.dashboards import find_dashboards, find_retired, name_service
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
from cilake.sources.testgrid.settings import TestGridSettings

NOT_FOUND = 404
STALE_ROWS = "show-stale-tests"
WITHOUT_STALE_ROWS = "without stale rows"
"""What the reason of an envelope says when its table came only by a request without its stale rows."""
ALL_KEPT = Kept()
_READING = Lock()
"""One reply is read at a time: the interpreter does no two at once, and a large one takes much memory."""


@contextmanager
def collect(landing: Landing) -> Iterator[Collected]:
    """Ask TestGrid for the summaries and tables of the configured dashboards.

    Raises:
        SettingsError: when the address or the dashboards are missing or malformed.
        SourceError: when a wildcard needs the listing and it cannot be read.
        DashboardError: when no pattern matches anything.

    """
    settings: TestGridSettings = landing.settings
    require_address(limits.ADDRESS_SETTING, settings.url)
    if not settings.patterns:
        raise SettingsError(
            "CILAKE_TESTGRID_DASHBOARDS names no dashboard: set it to names as TestGrid's addresses show "
            "them, separated by commas, such as redhat-openshift-ocp-release-4.20-blocking"
        )
    client = Client(
        settings.url,
        deadline=landing.deadline,
        attempts=limits.ATTEMPTS,
        limit_bytes=limits.PAYLOAD_LIMIT_BYTES,
        # One more than fetch tables: the summaries, whose connection nobody keeps who waits for room.
        concurrency=landing.concurrency + 1,
    )
    with closing(client):
        dashboards, unmatched = find_dashboards(client, settings.patterns)
        for pattern in unmatched:
            say(f"no dashboard matches {pattern!r}")
        retired = find_retired(settings.patterns, dashboards, landing.known["summary"], landing.day)
        envelopes = _collect(client, landing, dashboards, retired, frozenset(settings.patterns))
        # Closed before the pool waits for its workers, which may wait for what is not taken over.
        with closing(envelopes):
            yield Collected(name_service(client), [*dashboards, *retired], envelopes)


def _collect(
    client: Client, landing: Landing, dashboards: list[str], retired: list[str], named: Container[str]
) -> Generator[Envelope]:
    yield from extract_dashboards(
        client,
        landing.pool,
        dashboards,
        landing.known,
        day=landing.day,
        ahead=landing.ahead,
        budget=landing.budget,
        left_out=landing.left_out,
        named=named,
    )
    yield from extract_retired(retired, landing.known, day=landing.day, left_out=landing.left_out)


def is_tab(text: str) -> bool:
    """Return whether the text names a tab with its dashboard."""
    dashboard, slash, tab = text.partition("/")
    return bool(dashboard and slash and tab) and text.isprintable()


def extract_retired(
    retired: list[str], known: Mapping[str, Mapping[str, Known]], *, day: date, left_out: Container[str] = ()
) -> Iterator[Envelope]:
    """Yield the envelopes of dashboards that are no longer listed: all that was theirs is ``unlisted``."""
    reason = "its dashboard is no longer in the list of all"
    for dashboard in retired:
        yield _without_reply(
            "summary", dashboard, dashboard, "unlisted", "no longer in the list of all dashboards"
        )
        for natural_id in find_unlisted((), known["table"], f"{dashboard}/", day):
            if natural_id not in left_out:
                yield _without_reply("table", dashboard, natural_id, "unlisted", reason)


def extract_dashboards(
    client: Client,
    pool: ThreadPoolExecutor,
    dashboards: list[str],
    known: Mapping[str, Mapping[str, Known]],
    *,
    day: date,
    ahead: int,
    budget: ByteBudget,
    left_out: Container[str] = (),
    named: Container[str] = (),
) -> Generator[Envelope]:
    """Yield the envelopes of the dashboards in order: of each its summary, then one per tab that it lists.

    ``known`` holds the earlier replies, by endpoint and natural id. At most ``ahead`` replies are asked for
    or waiting to be taken, with no more bytes than ``budget`` has. Nothing raises for a single payload: an
    unreadable one is ``rejected``, one not obtained is ``missing``. Tabs that were obtained for the days
    before ``day`` and are not listed follow as ``unlisted``, or as ``missing`` where the summary was not
    obtained; those in ``left_out`` are not asked for, nor looked for. A dashboard among ``named`` of which
    the service knows nothing is marked as unknown.
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
            wait_for(replace(summary, is_unknown=dashboard in named and summary.http_status == NOT_FOUND))
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
    if document is not None or summary.http_status == NOT_FOUND:
        return "unlisted", "its dashboard lists no tab"
    if summary.state == "rejected":
        return "missing", f"the summary of its dashboard is unreadable: {summary.reason}"
    return "missing", summary.reason


def _without_reply(endpoint: str, dashboard: str, natural_id: str, state: State, reason: str) -> Envelope:
    """Return the envelope of what nobody was asked for, or did not answer: only our clock tells its time."""
    now = datetime.now(UTC)
    return Envelope(limits.NAME, endpoint, dashboard, natural_id, state, now, now, reason=reason)


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
    """Return one envelope, and for a readable summary its document."""
    etag = previous.etag if previous and conditional else None
    try:
        reply, note = _get(client, f"/{quote(dashboard, safe='')}/{endpoint}", params, etag, share)
    except FetchError as error:
        if error.last:
            return _envelope(endpoint, dashboard, natural_id, "missing", error.last, reason=str(error)), None
        return _without_reply(endpoint, dashboard, natural_id, "missing", str(error)), None
    if reply.status == 304 and etag:
        content = previous.etag_content if previous else ""
        if previous and not previous.has(content, reply.served_at):
            # Another reply came in between: this content begins anew, and has to be stored again.
            return _fetch(
                client, endpoint, dashboard, natural_id, params, previous, promise, share, conditional=False
            )
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
        source=limits.NAME,
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
