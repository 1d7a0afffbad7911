"""``cilake land``: what a source shows, into raw tables."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Any

from pyiceberg.catalog import Catalog

from cilake.apps.progress import say
from cilake.lake.catalog import open_catalog
from cilake.landing.envelope import STATES, Envelope
from cilake.landing.writer import append_payloads, append_quarantine, append_receipts, read_known
from cilake.settings import Settings, SettingsError
from cilake.sources.testgrid.client import Client
from cilake.sources.testgrid.extract import extract_dashboards, find_dashboards
from cilake.sources.testgrid.parse import collector_paused
from cilake.sources.testgrid.source import SOURCE
from cilake.windows import Window, day_start

NOT_FOUND = 404
BATCH_BYTES = 96 * 1024 * 1024
AHEAD = 4  # replies per connection that may wait to be stored


class LandingError(RuntimeError):
    """A landing that lost too much to be believed; what could be landed is kept."""


def land_testgrid(settings: Settings, window: Window) -> dict[str, int]:
    """The number of payloads by state over all days of the window.

    Payloads are committed in batches while the next ones are fetched, so a landing that is killed resumes
    where it was: what is stored already counts as unchanged. A dashboard's receipt follows its payloads.

    Raises:
        LandingError: when a payload could not be fetched or too many are unreadable or gone.

    """
    if not settings.dashboard_patterns:
        raise SettingsError("CILAKE_TESTGRID_DASHBOARDS names no dashboard")
    total: Counter[str] = Counter()
    with collector_paused():
        for day in window.days:
            total += _land_day(settings, day)
    counts = {state: total[state] for state in (*STATES, "bytes")}
    seen = sum(total[state] for state in STATES)
    if total["failed"]:
        raise LandingError(
            f"{total['failed']} of {seen} payloads could not be fetched; see ops.receipts, then run again"
        )
    for state, table in (("rejected", "ops.quarantine"), ("missing", "ops.receipts")):
        if total[state] > settings.rejected_ratio * seen:
            raise LandingError(
                f"{total[state]} of {seen} payloads are {state}, more than "
                f"{settings.rejected_ratio:.0%}; see {table}"
            )
    return counts


def _land_day(settings: Settings, day: date) -> Counter[str]:
    catalog = open_catalog(settings)
    total: Counter[str] = Counter()
    landing_id = f"{SOURCE.name}-{day}"
    known = {endpoint: read_known(catalog, address, day) for endpoint, address in SOURCE.endpoints.items()}
    client = Client(
        settings.testgrid_url,
        deadline=time.monotonic() + settings.landing_seconds,
        attempts=SOURCE.attempts,
        limit_bytes=SOURCE.payload_limit_bytes,
        concurrency=settings.landing_concurrency,
    )
    batch = _Batch(catalog, day, landing_id)
    try:
        dashboards = find_dashboards(client, settings.dashboard_patterns)
        ahead = AHEAD * settings.landing_concurrency
        with ThreadPoolExecutor(settings.landing_concurrency) as pool, ThreadPoolExecutor(1) as writer:
            stored: Future[None] | None = None
            envelopes = extract_dashboards(client, pool, dashboards, known, ahead=ahead)
            for dashboard, group in groupby(envelopes, key=attrgetter("scope")):
                count: Counter[str] = Counter()
                for envelope in group:
                    _require_begun(day, envelope)
                    batch.envelopes.append(envelope)
                    batch.payload_bytes += len(envelope.payload)
                    count += _count(envelope)
                    if batch.payload_bytes > BATCH_BYTES:
                        _wait(stored)
                        stored = writer.submit(batch.store)
                        batch = _Batch(catalog, day, landing_id)
                batch.counts[dashboard] = count
                total += count
                place = f"{dashboards.index(dashboard) + 1}/{len(dashboards)}"
                say(f"{day} {place} {dashboard}: {_in_words(count)}")
            _wait(stored)
            batch.store()
    finally:
        client.close()
    return total


@dataclass
class _Batch:
    """Envelopes to be stored together, and the counts of the dashboards that they complete."""

    catalog: Catalog
    day: date
    landing_id: str
    envelopes: list[Envelope] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    payload_bytes: int = 0

    def store(self) -> None:
        """Append the payloads, then what could not be read, then the receipts."""
        common: dict[str, Any] = {"day": self.day, "landing_id": self.landing_id}
        for endpoint, address in SOURCE.endpoints.items():
            chosen = [envelope for envelope in self.envelopes if envelope.endpoint == endpoint]
            append_payloads(self.catalog, address, chosen, **common)
        append_quarantine(self.catalog, self.envelopes, **common)
        append_receipts(self.catalog, self.counts, source=SOURCE.name, **common)


def _require_begun(day: date, envelope: Envelope) -> None:
    """Nothing, when the day has begun by the source's clock; before, no answer can be about that day."""
    if envelope.served_at < day_start(day):
        raise LandingError(
            f"{day} has not begun: the source's clock says {envelope.served_at:%Y-%m-%d %H:%M} UTC; "
            "nothing was landed"
        )


def _wait(stored: Future[None] | None) -> None:
    if stored:
        stored.result()


def _count(envelope: Envelope) -> Counter[str]:
    """What the envelope adds to its dashboard's counts; says what was lost."""
    count: Counter[str] = Counter({envelope.state: 1})
    if envelope.state == "landed":
        count["bytes"] = len(envelope.payload)
    if envelope.state in ("missing", "rejected"):
        say(f"{envelope.state} {envelope.natural_id}: {envelope.reason}")
    # The service itself says that a listed tab has no table; anything else may come yet.
    if envelope.state == "missing" and envelope.http_status != NOT_FOUND:
        count["failed"] = 1
    return count


def _in_words(counts: Counter[str]) -> str:
    states = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    return f"{states or 'nothing'} ({counts['bytes'] / 1e6:.1f} MB)"
