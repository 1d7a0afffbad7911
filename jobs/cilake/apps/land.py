"""``cilake land``: what a source shows, into raw tables."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from pyiceberg.catalog import Catalog

from cilake.apps.progress import say
from cilake.lake.catalog import open_catalog
from cilake.landing.envelope import Envelope
from cilake.landing.writer import append_payloads, append_quarantine, append_receipts, read_known
from cilake.settings import Settings, SettingsError
from cilake.sources.testgrid.client import Client
from cilake.sources.testgrid.extract import extract_dashboard, find_dashboards
from cilake.sources.testgrid.source import SOURCE
from cilake.windows import Window

NOT_FOUND = 404
BATCH_BYTES = 192 * 1024 * 1024


class LandingError(RuntimeError):
    """A landing that lost too much to be believed; what could be landed is kept."""


def land_testgrid(settings: Settings, window: Window) -> dict[str, int]:
    """The number of payloads by state over all days of the window.

    Payloads are committed dashboard by dashboard, so a landing that is killed resumes where it was: what is
    stored already counts as unchanged. Receipts of a dashboard follow its payloads.

    Raises:
        LandingError: when a payload could not be fetched or too many are unreadable or gone.

    """
    if not settings.dashboard_patterns:
        raise SettingsError("CILAKE_TESTGRID_DASHBOARDS names no dashboard")
    total: Counter[str] = Counter()
    for day in window.days:
        total += _land_day(settings, day)
    states = ("landed", "unchanged", "rejected", "missing")
    counts = {state: total[state] for state in states} | {"bytes": total["bytes"]}
    seen = sum(total[state] for state in states)
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
    landing_id = f"{SOURCE.name}-{day}"
    known = {endpoint: read_known(catalog, address) for endpoint, address in SOURCE.endpoints.items()}
    client = Client(
        settings.testgrid_url,
        deadline=time.monotonic() + settings.landing_seconds,
        attempts=SOURCE.attempts,
        limit_bytes=SOURCE.payload_limit_bytes,
        concurrency=settings.landing_concurrency,
    )
    total: Counter[str] = Counter()
    try:
        dashboards = find_dashboards(client, settings.dashboard_patterns)
        with ThreadPoolExecutor(settings.landing_concurrency) as pool:
            for position, dashboard in enumerate(dashboards, start=1):
                receipt: list[Envelope] = []
                batch: list[Envelope] = []
                for envelope in extract_dashboard(client, pool, dashboard, known):
                    batch.append(envelope)
                    receipt.append(envelope)
                    if sum(len(e.payload) for e in batch if e.state == "landed") > BATCH_BYTES:
                        _store(catalog, batch, day, landing_id)
                        batch = []
                _store(catalog, batch, day, landing_id)
                counts = append_receipts(catalog, receipt, day=day, landing_id=landing_id)
                for envelope in receipt:
                    if envelope.state in ("missing", "rejected"):
                        say(f"{envelope.state} {envelope.natural_id}: {envelope.reason}")
                    # The service itself says that a listed tab has no table; anything else may come yet.
                    if envelope.state == "missing" and envelope.http_status != NOT_FOUND:
                        counts["failed"] += 1
                total += counts
                say(f"{day} {position}/{len(dashboards)} {dashboard}: {_in_words(counts)}")
    finally:
        client.close()
    return total


def _store(catalog: Catalog, batch: list[Envelope], day: date, landing_id: str) -> None:
    for endpoint, address in SOURCE.endpoints.items():
        chosen = [envelope for envelope in batch if envelope.endpoint == endpoint]
        append_payloads(catalog, address, chosen, day=day, landing_id=landing_id)
    append_quarantine(catalog, batch, day=day, landing_id=landing_id)


def _in_words(counts: Counter[str]) -> str:
    states = ", ".join(
        f"{counts[s]} {s}" for s in ("landed", "unchanged", "rejected", "missing") if counts[s]
    )
    return f"{states or 'nothing'} ({counts['bytes'] / 1e6:.1f} MB)"
