"""``cilake land``: what a source shows, into raw tables."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import chain, groupby
from operator import attrgetter
from typing import Any

from pyiceberg.catalog import Catalog

from cilake.errors import CilakeError, SourceError
from cilake.lake.catalog import open_catalog
from cilake.landing.budget import ByteBudget
from cilake.landing.envelope import FLAWS, STATES, Envelope, Fetch, Known
from cilake.landing.latest_receipts import read_unlisted
from cilake.landing.left_out import read_left_out
from cilake.landing.writer import (
    append_fetches,
    append_payloads,
    append_receipts,
    quarantine_rejected,
    read_known,
    restore_hidden,
)
from cilake.log import say
from cilake.settings import Settings, SettingsError, require_address
from cilake.sources.testgrid.client import Client
from cilake.sources.testgrid.extract import (
    DashboardError,
    extract_dashboards,
    extract_retired,
    find_dashboards,
    find_retired,
    name_service,
)
from cilake.sources.testgrid.parse import collector_paused
from cilake.sources.testgrid.source import SOURCE
from cilake.windows import DayError, Window, day_start

NOT_FOUND = 404
BATCH_BYTES = 96 * 1024 * 1024
AHEAD = 4  # replies per connection that may wait to be stored
AHEAD_BYTES = 256 * 1024 * 1024
"""How many bytes of them there may be, and one reply more."""
MANY_EARLY = 10
"""So many replies of before a day, and none of a later time, say that it has not begun."""


class LandingError(CilakeError, RuntimeError):
    """A landing that lost too much to be believed; what could be landed is kept."""


def land_testgrid(settings: Settings, window: Window) -> dict[str, int]:
    """The number of payloads by state over all days of the window.

    Payloads are committed in batches while the next ones are fetched, so a landing that is killed resumes
    where it was: what is stored already counts as unchanged. A dashboard's receipt follows its payloads.

    Raises:
        SettingsError: when the address or the dashboards of the source are missing or malformed.
        SourceError: when the source did not answer at all.
        DashboardError: when the source does not know a dashboard.
        DayError: when a day has not begun.
        LandingError: when too many payloads are unreadable or were not obtained.

    """
    require_address(settings, "testgrid_url")
    if not settings.dashboard_patterns:
        raise SettingsError(
            "CILAKE_TESTGRID_DASHBOARDS names no dashboard: set it to names as TestGrid's addresses show "
            "them, separated by commas, such as redhat-openshift-ocp-release-4.20-blocking"
        )
    total: Counter[str] = Counter()
    losses = _Losses()
    with collector_paused():
        for day in window.days:
            total += _land_day(settings, day, losses)
    counts = {name: total[name] for name in (*STATES, *FLAWS, "bytes")}
    losses.check(settings, counts)
    return counts


@dataclass
class _Losses:
    """What was not obtained, and from where: reasons of what may come yet, dashboards that are not there.

    ``gone`` payloads have left the source's listing since the landing of an earlier day.
    """

    source: str = ""
    gone: int = 0
    failures: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def note(self, envelope: Envelope) -> None:
        """Keep what an envelope of state ``missing`` says about the source."""
        # The service itself says that a listed tab has no table; anything else may come yet.
        if envelope.http_status != NOT_FOUND:
            self.failures.append(envelope.reason)
        elif envelope.endpoint == "summary":
            self.unknown.append(envelope.scope)

    def check(self, settings: Settings, counts: dict[str, int]) -> None:
        """Raise the error that describes these losses, if they are too many to believe the landing."""
        seen = sum(counts[state] for state in STATES)
        if self.failures and len(self.failures) == seen:
            raise SourceError(
                f"{self.source} {self.failures[-1]}; check the address, or run again when it is back"
            )
        named = Counter(name for name in self.unknown if name in settings.dashboard_patterns)
        if named and named.total() == seen:
            raise DashboardError(
                f"{self.source} has no dashboard {', '.join(named)}: correct CILAKE_TESTGRID_DASHBOARDS"
            )
        # A name that is no dashboard is no loss of the others.
        lost = Counter(counts) - Counter(missing=named.total())
        is_lossy: dict[str, bool] = {state: lost[state] > settings.rejected_ratio * seen for state in STATES}
        if self.gone > seen / 2:
            raise LandingError(
                f"{self.gone} of {seen} payloads of the week before are no longer listed: "
                f"{self.source} lists less than half of what it did; see ops.fetches, and run again when its "
                "listing is whole; the landing of the next day takes the shorter listing as it is"
            )
        for state, table in (("rejected", "ops.quarantine"), ("missing", "ops.receipts")):
            if is_lossy[state]:
                last = f": {self.source} {self.failures[-1]}" if state == "missing" and self.failures else ""
                raise LandingError(
                    f"{counts[state]} of {seen} payloads are {state}, more than "
                    f"{settings.rejected_ratio:.0%}{last}; see {table}"
                )
        for name in named:
            say(f"{self.source} has no dashboard {name}: correct CILAKE_TESTGRID_DASHBOARDS (ops.fetches)")
        for state, table in (
            ("rejected", "ops.quarantine"),
            ("missing", "ops.receipts"),
            ("unlisted", "ops.fetches"),
            ("stale", "ops.fetches"),
            ("gap", "ops.fetches"),
        ):
            if counts[state]:
                are = "have a gap before them" if state == "gap" else f"are {state}"
                say(f"the landing is incomplete: {counts[state]} of {seen} payloads {are}; see {table}")


def _land_day(settings: Settings, day: date, losses: _Losses) -> Counter[str]:
    catalog = open_catalog(settings)
    total: Counter[str] = Counter()
    landing_id = f"{SOURCE.name}-{day}"
    known = read_known(catalog, SOURCE.name, SOURCE.endpoints, day)
    left_out = read_left_out(catalog, SOURCE.name, day)
    client = Client(
        settings.testgrid_url,
        deadline=time.monotonic() + settings.landing_seconds,
        attempts=SOURCE.attempts,
        limit_bytes=SOURCE.payload_limit_bytes,
        # One more than fetch tables: the summaries, whose connection nobody keeps who waits for room.
        concurrency=settings.landing_concurrency + 1,
    )
    losses.source = name_service(client)
    unlisted = read_unlisted(catalog, SOURCE.name, day)
    batch = _Batch(catalog, day, landing_id, known)
    clock = _Clock(day)
    try:
        dashboards, unmatched = find_dashboards(client, settings.dashboard_patterns)
        for pattern in unmatched:
            say(f"no dashboard matches {pattern!r}")
        retired = find_retired(settings.dashboard_patterns, dashboards, known["summary"], day)
        for tab, reason in left_out.items():
            if tab.startswith(tuple(f"{name}/" for name in (*dashboards, *retired))):
                say(f"leaves out {tab}: {reason}")
        ahead = AHEAD * settings.landing_concurrency
        budget = ByteBudget(AHEAD_BYTES)
        with ExitStack() as stack:
            writer = stack.enter_context(ThreadPoolExecutor(1))
            pool = stack.enter_context(ThreadPoolExecutor(settings.landing_concurrency))
            envelopes = extract_dashboards(
                client, pool, dashboards, known, day=day, ahead=ahead, budget=budget, left_out=left_out
            )
            # Closed before the pool waits for its workers, which may wait for what is not taken over.
            stack.callback(envelopes.close)
            stored: Future[None] | None = None
            done: set[str] = set()
            all_envelopes = chain(envelopes, extract_retired(retired, known, day=day, left_out=left_out))
            for dashboard, group in groupby(all_envelopes, key=attrgetter("scope")):
                count: Counter[str] = Counter()
                is_unknown = False
                for envelope in map(clock.check, group):
                    batch.envelopes.append(envelope)
                    batch.payload_bytes += len(envelope.payload)
                    count += _count(envelope)
                    if envelope.state == "missing":
                        losses.note(envelope)
                    is_unknown = is_unknown or _is_unknown(envelope, settings, known["summary"])
                    if batch.payload_bytes > BATCH_BYTES:
                        _wait(stored)
                        stored = writer.submit(batch.store)
                        batch = _Batch(catalog, day, landing_id, known)
                if not is_unknown:  # nobody promised it, and a receipt would outlive the correction
                    batch.counts[dashboard] = count
                losses.gone += max(0, count["unlisted"] - unlisted.get(dashboard, 0))
                done.add(dashboard)
                total += count
                say(f"{day} {len(done)}/{len(dashboards) + len(retired)} {dashboard}: {_in_words(count)}")
            clock.require_begun()
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
    known: dict[str, dict[str, Known]]
    envelopes: list[Envelope] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    payload_bytes: int = 0

    def store(self) -> None:
        """Append the payloads, then what could not be read, the requests, and the receipts."""
        common: dict[str, Any] = {"day": self.day, "landing_id": self.landing_id}
        for endpoint, address in SOURCE.endpoints.items():
            chosen = [envelope for envelope in self.envelopes if envelope.endpoint == endpoint]
            append_payloads(self.catalog, address, chosen, **common)
            restore_hidden(self.catalog, address, self._hidden_by(chosen))
        quarantine_rejected(self.catalog, self.envelopes, **common)
        append_fetches(self.catalog, self.envelopes, **common)
        append_receipts(self.catalog, self.counts, source=SOURCE.name, **common)

    def _hidden_by(self, envelopes: list[Envelope]) -> dict[str, Fetch]:
        """Return the later replies that were equal to the one before them until these came between."""
        found = {}
        for envelope in envelopes:
            known = self.known[envelope.endpoint].get(envelope.natural_id) or Known(())
            hidden = known.hidden_by(envelope.content_sha256, envelope.served_at)
            if envelope.state == "landed" and hidden:
                found[envelope.natural_id] = hidden
        return found


@dataclass
class _Clock:
    """Whether a day has begun by the source's clock: before, no answer can be about that day.

    A few replies of before it, among others, are those of a cache or of a clock that is wrong.
    """

    day: date
    early: list[datetime] = field(default_factory=list)
    has_begun: bool = False
    newest: datetime | None = None

    def check(self, envelope: Envelope) -> Envelope:
        """Return the envelope, as ``missing`` where its reply is of a time before the day.

        One without a reply is of the time that the source showed last: the source's clock need not be ours.

        Raises:
            DayError: when many replies are, and none of a later one.

        """
        if envelope.http_status is None:
            return replace(envelope, served_at=self.newest) if self.newest else envelope
        self.newest = max(self.newest or envelope.served_at, envelope.served_at)
        if envelope.served_at >= day_start(self.day):
            self.has_begun = True
            return envelope
        self.early.append(envelope.served_at)
        if len(self.early) >= MANY_EARLY:
            self.require_begun()
        reason = f"answers with a reply of {envelope.served_at:%Y-%m-%d %H:%M} UTC, before the day began"
        return replace(envelope, state="missing", payload=b"", reason=reason)

    def require_begun(self) -> None:
        """Check that a reply was of the day or later, if there was any."""
        if self.early and not self.has_begun:
            raise DayError(
                f"{self.day} has not begun: the source's clock says {max(self.early):%Y-%m-%d %H:%M} UTC; "
                "nothing was landed; run it when the day is over"
            )


def _is_unknown(envelope: Envelope, settings: Settings, known: Mapping[str, Known]) -> bool:
    """Return whether a name in the settings is no dashboard of the source, nor was in the weeks before."""
    is_absent = envelope.endpoint == "summary" and envelope.http_status == NOT_FOUND
    is_named = envelope.scope in settings.dashboard_patterns
    return is_absent and is_named and envelope.scope not in known


def _wait(stored: Future[None] | None) -> None:
    if stored:
        stored.result()


def _count(envelope: Envelope) -> Counter[str]:
    """What the envelope adds to its dashboard's counts; says what was lost."""
    count: Counter[str] = Counter({envelope.state: 1}) + Counter(envelope.flaws)
    if envelope.state == "landed":
        count["bytes"] = len(envelope.payload)
    if envelope.state in ("missing", "rejected", "unlisted"):
        say(f"{envelope.state} {envelope.natural_id}: {envelope.reason}")
    return count


def _in_words(counts: Counter[str]) -> str:
    states = ", ".join(f"{counts[name]} {name}" for name in (*STATES, *FLAWS) if counts[name])
    return f"{states or 'nothing'} ({counts['bytes'] / 1e6:.1f} MB)"
