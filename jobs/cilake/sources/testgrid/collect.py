"""The collector: dashboards from patterns, tabs from summaries, tables fetched concurrently."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import quote

from cilake.landing.budget import ByteBudget, Share
from cilake.landing.envelope import Envelope, State, StoredContent
from cilake.landing.readers import Readers
from cilake.log import logger
from cilake.settings import SettingsError, require_address
from cilake.sources.base import Collected, Landing
from cilake.sources.fetch import Content, Subject, fetch, id_within, without_reply
from cilake.sources.http import Client, FailingError, FetchError, Reply
from cilake.sources.payload import content_digest, parse_object
from cilake.sources.runs import Decoded
from cilake.sources.testgrid import limits
from cilake.sources.testgrid.dashboards import find_dashboards, find_retired, name_service
from cilake.sources.testgrid.parse import VOLATILE, read_table, read_tabs
from cilake.sources.testgrid.promises import (
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


@contextmanager
def collect(landing: Landing) -> Iterator[Collected]:
    """Request the summaries and tables of the configured dashboards from TestGrid.

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
            logger.warning(f"pattern {pattern!r}: no dashboard matches")
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
        prefetch=landing.prefetch,
        budget=landing.budget,
        readers=landing.readers,
        left_out=landing.left_out,
        named=named,
    )
    yield from extract_retired(retired, landing.known, day=landing.day, left_out=landing.left_out)


def is_tab(text: str) -> bool:
    """Return whether the text names a tab with its dashboard."""
    dashboard, slash, tab = text.partition("/")
    return bool(dashboard and slash and tab) and text.isprintable()


def extract_retired(
    retired: list[str],
    known: Mapping[str, Mapping[str, StoredContent]],
    *,
    day: date,
    left_out: Container[str] = (),
) -> Iterator[Envelope]:
    """Yield the envelopes of dashboards that are no longer listed: all that was theirs is ``unlisted``."""
    reason = "its dashboard is no longer in the list of all"
    for dashboard in retired:
        gone = "no longer in the list of all dashboards"
        yield without_reply(_subject("summary", dashboard, dashboard), "unlisted", gone)
        for natural_id in find_unlisted((), known["table"], id_within(dashboard, ""), day):
            if natural_id not in left_out:
                yield without_reply(_subject("table", dashboard, natural_id), "unlisted", reason)


def extract_dashboards(
    client: Client,
    pool: ThreadPoolExecutor,
    dashboards: list[str],
    known: Mapping[str, Mapping[str, StoredContent]],
    *,
    day: date,
    prefetch: int,
    budget: ByteBudget,
    readers: Readers,
    left_out: Container[str] = (),
    named: Container[str] = (),
) -> Generator[Envelope]:
    """Yield the envelopes of the dashboards in order: of each its summary, then one per tab that it lists.

    ``known`` holds the earlier replies by endpoint and natural id. At most ``prefetch`` replies are requested
    or waiting to be taken, with no more bytes than ``budget`` has. Nothing raises for a single payload: an
    unreadable one is ``rejected``, one not obtained is ``missing``. Tabs that were obtained for the days
    before ``day`` and are not listed follow as ``unlisted``, or as ``missing`` where the summary was not
    obtained; those in ``left_out`` are neither requested nor looked for. A dashboard among ``named`` of
    which the service knows nothing is marked as unknown.
    """
    waiting: deque[tuple[Future[Envelope], Share]] = deque()

    def fetch_table(dashboard: str, tab: str, promise: Promise, share: Share) -> Envelope:
        previous = known["table"].get(id_within(dashboard, tab))
        return _fetch_table(client, dashboard, tab, promise, previous, share, readers)

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
            summary, document = _fetch_summary(client, dashboard, known["summary"].get(dashboard))
            wait_for(replace(summary, is_unknown=dashboard in named and summary.http_status == NOT_FOUND))
            listed = document or {}
            for tab, entry in listed.items():
                if id_within(dashboard, tab) in left_out:
                    continue
                while len(waiting) >= prefetch:
                    yield from take_next()
                share = budget.share()
                future = pool.submit(fetch_table, dashboard, tab, read_promise(entry), share)
                waiting.append((future, share))
            prefix = id_within(dashboard, "")
            absent = _find_absence(summary, document)
            for natural_id in find_unlisted((prefix + tab for tab in listed), known["table"], prefix, day):
                if natural_id not in left_out:
                    wait_for(without_reply(_subject("table", dashboard, natural_id), *absent))
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


def _subject(endpoint: str, dashboard: str, natural_id: str) -> Subject:
    return Subject(limits.NAME, endpoint, dashboard, natural_id)


def _path(dashboard: str, endpoint: str) -> str:
    return f"/{quote(dashboard, safe='')}/{endpoint}"


def _fetch_summary(
    client: Client, dashboard: str, previous: StoredContent | None
) -> tuple[Envelope, dict[str, Any] | None]:
    """Return the envelope of a summary and, if it can be read, the tabs that it lists.

    It is requested whole every time: it lists the tabs, and it is small.
    """
    listed: list[dict[str, Any]] = []

    def get(etag: str | None) -> tuple[Reply, str]:
        return client.get(_path(dashboard, "summary"), {}, etag), ""

    def read(reply: Reply) -> Content:
        document = parse_object(reply.body)
        digest = content_digest(document, volatile=VOLATILE)
        listed.append(read_tabs(document))
        return Content(digest)

    subject = _subject("summary", dashboard, dashboard)
    envelope = fetch(subject, get, read, previous, conditional=False)
    return envelope, listed[-1] if listed else None


def _fetch_table(
    client: Client,
    dashboard: str,
    tab: str,
    promise: Promise,
    previous: StoredContent | None,
    share: Share,
    readers: Readers,
) -> Envelope:
    def get(etag: str | None) -> tuple[Reply, str]:
        return _get_table(client, _path(dashboard, "table"), tab, etag, share)

    def read(reply: Reply) -> Content:
        return readers.read(partial(_read_reply, reply, promise, previous), len(reply.body))

    return fetch(
        _subject("table", dashboard, id_within(dashboard, tab)),
        get,
        read,
        previous,
        compare_unmodified=lambda served_at, digest: compare_unmodified(promise, served_at, previous, digest),
    )


def _read_reply(reply: Reply, promise: Promise, previous: StoredContent | None) -> Content:
    """Return what a reply that shows a table holds.

    Raises:
        UnreadableError: when it shows none.

    """
    document = parse_object(reply.body)
    digest = content_digest(document, volatile=VOLATILE)
    table = read_table(document, served_at=reply.served_at)
    return Content(digest, compare_table(promise, table, reply.served_at, previous), _sum_up(table))


def _get_table(
    client: Client, path: str, tab: str, etag: str | None, share: Share | None
) -> tuple[Reply, str]:
    """Return the reply to a request for a table, and a note where it is less than was requested.

    A table is requested with its stale rows. For a tab with very many of them the service fails every time:
    it is then requested once more without.

    Raises:
        FetchError: when no complete reply came.

    """
    params = {"tab": tab}
    try:
        return client.get(path, {STALE_ROWS: "", **params}, etag, share), ""
    except FailingError as error:
        try:
            reply = client.get(path, params, share=share)
            if reply.status == 304:  # to a request without a tag: no answer
                raise error
            # The tag is of this reply; the next request includes the stale rows again.
            return replace(reply, etag=None), f"{WITHOUT_STALE_ROWS}: with them the service {error}"
        except FetchError:
            # What the ordinary request met is what people look for.
            raise error from None


def _sum_up(decoded: Decoded) -> str:
    """Return how many columns and rows of a table are refused, with the first reason."""
    if not decoded.rejects:
        return ""
    return f"{len(decoded.rejects)} columns or rows refused: {decoded.rejects[0].reason}"
