"""``cilake land``: what a source shows, into raw tables."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import chain, groupby, islice
from operator import attrgetter
from typing import Any

from pyiceberg.catalog import Catalog

from cilake.contracts.registry import table as contract
from cilake.errors import CilakeError, PermanentError, SourceError
from cilake.lake.catalog import create_missing, open_catalog
from cilake.landing.budget import ByteBudget
from cilake.landing.envelope import FLAWS, STATES, Envelope, Fetch, StoredContent
from cilake.landing.gc_paused import gc_paused
from cilake.landing.latest_receipts import read_unlisted
from cilake.landing.left_out import read_left_out
from cilake.landing.readers import Readers
from cilake.landing.writer import (
    append_fetches,
    append_payloads,
    append_receipts,
    quarantine_rejected,
    read_known,
    restore_hidden,
)
from cilake.log import logger
from cilake.settings import Settings
from cilake.sources.base import Landing, Source
from cilake.sources.fetch import id_within
from cilake.windows import DayError, Window, day_start

NOT_FOUND = 404
BATCH_BYTES = 96 * 1024 * 1024
PREFETCH = 4  # replies per connection that may wait to be stored
PREFETCH_BYTES = 256 * 1024 * 1024
"""How many bytes of them there may be, and one reply more."""
MANY_EARLY = 10
"""So many replies of before a day, and none of a later time, say that it has not begun."""
NAMED_EARLY = 3
"""So many of them are named in the log."""


FIRST_REPLIES = 3
"""So many say together what time it is at a source."""
MAX_CLOCK_LEAD = timedelta(days=1)
"""How far the time of a reply may lie after our clock and after the replies before it.

A source's clock may be ahead of ours, as that of a simulator often is, but its replies agree.
"""


class LandingError(CilakeError, RuntimeError):
    """A landing that lost too much to be believed; what could be landed is kept."""


class UnknownScopeError(PermanentError, LookupError):
    """What a setting names and the source does not know."""


def land(settings: Settings, window: Window, *, source: Source, own: object = None) -> dict[str, int]:
    """Land what a source shows on each day of the window; return the number of payloads by state.

    Payloads are committed in batches while the next ones are fetched, so a landing that is killed resumes
    where it was: what is stored already counts as unchanged. A scope's receipt follows its payloads.
    ``own`` are the settings of the source, by default those of the environment.

    Raises:
        SettingsError: when settings of the source are missing or malformed.
        SourceError: when the source did not respond at all.
        UnknownScopeError: when the source knows nothing of what the settings name.
        DayError: when a day has not begun.
        LandingError: when too many payloads are unreadable or were not obtained.

    """
    total: Counter[str] = Counter()
    losses = _Losses(source)
    own = own or source.read_settings()
    with gc_paused():
        for day in window.days:
            total += _land_day(settings, source, own, day, losses)
    counts = {name: total[name] for name in (*STATES, *FLAWS, "bytes")}
    losses.check(settings, counts)
    return counts


@dataclass
class _Losses:
    """What was not obtained, and from where: reasons of what may come yet, scopes that are not there.

    ``gone`` payloads have left the source's listing since the landing of an earlier day.
    """

    source: Source
    service: str = ""
    gone: int = 0
    failures: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def note(self, envelope: Envelope) -> None:
        """Keep what an envelope of state ``missing`` says about the source."""
        if envelope.is_unknown:
            self.unknown.append(envelope.scope)
        # The service itself says that what it lists is not there; anything else may come yet.
        elif envelope.http_status != NOT_FOUND:
            self.failures.append(envelope.reason)

    def check(self, settings: Settings, counts: dict[str, int]) -> None:
        """Raise the error that describes these losses, if they are too many to believe the landing."""
        seen = sum(counts[state] for state in STATES)
        if self.failures and len(self.failures) == seen:
            raise SourceError(
                f"{self.service} {self.failures[-1]}; check the address, or run again when it is back"
            )
        if not seen:
            logger.warning(f"{self.service}: no request, all is left out, or nothing is listed")
            return
        scope, setting = self.source.scope, self.source.scope_setting
        unknown = dict.fromkeys(self.unknown)
        if unknown and len(self.unknown) == seen:
            raise UnknownScopeError(f"{self.service} has no {scope} {', '.join(unknown)}: correct {setting}")
        # A name that means nothing is no loss of the others.
        lost = Counter(counts) - Counter(missing=len(self.unknown))
        # A single payload stops no night, however few there are, unless it is all.
        limit = min(max(1.0, settings.max_lost_ratio * seen), seen - 1)
        is_lossy: dict[str, bool] = {state: lost[state] > limit for state in STATES}
        if self.gone > seen / 2:
            raise LandingError(
                f"{self.gone} of {seen} payloads of the week before are no longer listed: "
                f"{self.service} lists less than half of what it did; see ops.fetches, and run again when "
                "its listing is whole; the landing of the next day takes the shorter listing as it is"
            )
        for state, table in (("rejected", "ops.quarantine"), ("missing", "ops.receipts")):
            if is_lossy[state]:
                last = f": {self.service} {self.failures[-1]}" if state == "missing" and self.failures else ""
                raise LandingError(
                    f"{counts[state]} of {seen} payloads are {state}, more than "
                    f"{settings.max_lost_ratio:.0%}{last}; see {table}"
                )
        for name in unknown:
            logger.warning(f"{self.service} has no {scope} {name}: correct {setting} (ops.fetches)")
        for state, table in (
            ("rejected", "ops.quarantine"),
            ("missing", "ops.receipts"),
            ("unlisted", "ops.fetches"),
            ("stale", "ops.fetches"),
            ("gap", "ops.fetches"),
        ):
            if counts[state]:
                are = "have a gap before them" if state == "gap" else f"are {state}"
                of_all = f"{counts[state]} of {seen} payloads"
                logger.warning(f"the landing is incomplete: {of_all} {are}; see {table}")


def _land_day(settings: Settings, source: Source, own: object, day: date, losses: _Losses) -> Counter[str]:
    catalog = open_catalog(settings)
    create_missing(catalog, map(contract, source.endpoints.values()))
    total: Counter[str] = Counter()
    known = read_known(catalog, source.name, source.endpoints, day)
    left_out = read_left_out(catalog, source.name, day)
    unlisted = read_unlisted(catalog, source.name, day)
    batch = _Batch(catalog, source, day, known)
    clock = _Clock(day)
    with ExitStack() as stack:
        writer = stack.enter_context(ThreadPoolExecutor(1))
        pool = stack.enter_context(ThreadPoolExecutor(settings.landing_concurrency))
        # Ended before the pool, whose threads wait for them.
        readers = stack.enter_context(Readers(source.collect.__module__))
        landing = Landing(
            day=day,
            settings=own,
            known=known,
            left_out=left_out,
            pool=pool,
            concurrency=settings.landing_concurrency,
            deadline=time.monotonic() + settings.landing_seconds,
            prefetch=PREFETCH * settings.landing_concurrency,
            budget=ByteBudget(PREFETCH_BYTES),
            readers=readers,
        )
        collected = stack.enter_context(source.collect(landing))
        losses.service = collected.service
        prefixes = tuple(id_within(scope, "") for scope in collected.scopes)
        for natural_id, reason in left_out.items():
            if natural_id in collected.scopes or natural_id.startswith(prefixes):
                logger.info(f"{natural_id}: left out, {reason}")
        stored: Future[None] | None = None
        done: set[str] = set()
        for scope, group in groupby(clock.check(collected.envelopes), key=attrgetter("scope")):
            count: Counter[str] = Counter()
            is_unknown = False
            for envelope in group:
                batch.envelopes.append(envelope)
                batch.payload_bytes += len(envelope.payload)
                count += _count(envelope)
                if clock.is_named(envelope):
                    _log_if_lost(envelope)
                if envelope.state == "missing":
                    losses.note(envelope)
                is_new = envelope.natural_id not in known[envelope.endpoint]
                is_unknown = is_unknown or (envelope.is_unknown and is_new)
                if batch.payload_bytes > BATCH_BYTES:
                    _wait(stored)
                    stored = writer.submit(batch.store)
                    batch = _Batch(catalog, source, day, known)
            if not is_unknown:  # nobody promised it, and a receipt would outlive the correction
                batch.counts[scope] = count
            losses.gone += max(0, count["unlisted"] - unlisted.get(scope, 0))
            done.add(scope)
            total += count
            logger.info(f"{day} {len(done)}/{len(collected.scopes)} {scope}: {_in_words(count)}")
        clock.require_begun()
        clock.log_end()
        _wait(stored)
        batch.store()
    return total


@dataclass
class _Batch:
    """Envelopes to be stored together, and the counts of the scopes that they complete."""

    catalog: Catalog
    source: Source
    day: date
    known: Mapping[str, Mapping[str, StoredContent]]
    envelopes: list[Envelope] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    payload_bytes: int = 0

    def store(self) -> None:
        """Append the payloads, then what could not be read, the requests, and the receipts."""
        common: dict[str, Any] = {"day": self.day, "landing_id": f"{self.source.name}-{self.day}"}
        for endpoint, address in self.source.endpoints.items():
            chosen = [envelope for envelope in self.envelopes if envelope.endpoint == endpoint]
            append_payloads(self.catalog, address, chosen, **common)
            restore_hidden(self.catalog, address, self._hidden_by(chosen))
        quarantine_rejected(self.catalog, self.envelopes, **common)
        append_fetches(self.catalog, self.envelopes, **common)
        append_receipts(self.catalog, self.counts, source=self.source.name, **common)

    def _hidden_by(self, envelopes: list[Envelope]) -> dict[str, Fetch]:
        """Return the later replies that were equal to the one before them until these came between."""
        found = {}
        for envelope in envelopes:
            known = self.known[envelope.endpoint].get(envelope.natural_id) or StoredContent(())
            hidden = known.hidden_by(envelope.content_sha256, envelope.served_at)
            if envelope.state == "landed" and hidden:
                found[envelope.natural_id] = hidden
        return found


@dataclass
class _Clock:
    """Whether a day has begun by the source's clock: before, no reply can be about that day.

    A few replies of before it, among others, are those of a cache or of a clock that is wrong.
    """

    day: date
    early: list[datetime] = field(default_factory=list)
    has_begun: bool = False
    newest: datetime | None = None

    def check(self, envelopes: Iterable[Envelope]) -> Iterator[Envelope]:
        """Yield the envelopes, as ``missing`` where their reply is of a time before the day, or to come.

        One without a reply is of the time that the source showed last: the source's clock need not be ours.
        What time it is to begin with is said by several replies, so that none can falsify it alone.

        Raises:
            DayError: when many replies are of before the day, and none of a later time.

        """
        left = iter(envelopes)
        first = list(islice(left, FIRST_REPLIES))
        times = sorted(one.served_at for one in first if one.http_status is not None)
        if times:
            self.newest = times[(len(times) - 1) // 2]
        return map(self._check, chain(first, left))

    def _check(self, envelope: Envelope) -> Envelope:
        if envelope.http_status is None:
            return replace(envelope, served_at=self.newest) if self.newest else envelope
        if self.newest and envelope.served_at > max(self.newest, envelope.fetched_at) + MAX_CLOCK_LEAD:
            reason = f"answers with a reply of {envelope.served_at:%Y-%m-%d %H:%M} UTC, which is to come"
            lost = replace(envelope, state="missing", payload=b"", content_sha256="", reason=reason)
            return replace(lost, served_at=self.newest)
        self.newest = max(self.newest or envelope.served_at, envelope.served_at)
        if envelope.served_at >= day_start(self.day):
            self.has_begun = True
            return envelope
        self.early.append(envelope.served_at)
        if len(self.early) >= MANY_EARLY:
            self.require_begun()
        reason = f"answers with a reply of {envelope.served_at:%Y-%m-%d %H:%M} UTC, before the day began"
        return replace(envelope, state="missing", payload=b"", content_sha256="", reason=reason)

    def is_named(self, envelope: Envelope) -> bool:
        """Return whether the log may name it: of replies of before the day only the first ones."""
        is_early = envelope.http_status is not None and envelope.served_at < day_start(self.day)
        return not is_early or len(self.early) <= NAMED_EARLY

    def require_begun(self) -> None:
        """Check that a reply was of the day or later, if there was any."""
        if self.early and not self.has_begun:
            self._log_early()
            raise DayError(
                f"{self.day} has not begun: the source's clock says {max(self.early):%Y-%m-%d %H:%M} UTC; "
                "nothing was landed; run it when the day is over"
            )

    def log_end(self) -> None:
        """Log how many replies are too early, and that the day is not over where more of it is to come."""
        self._log_early()
        if self.newest and self.has_begun and self.newest < day_start(self.day + timedelta(days=1)):
            logger.warning(
                f"{self.day} is not over: the source's clock says {self.newest:%Y-%m-%d %H:%M} UTC; "
                "what it shows later comes with another landing"
            )

    def _log_early(self) -> None:
        if (more := len(self.early) - NAMED_EARLY) > 0:
            logger.warning(f"replies of before the day began: {more} more")


def _wait(stored: Future[None] | None) -> None:
    if stored:
        stored.result()


def _count(envelope: Envelope) -> Counter[str]:
    """Return what the envelope adds to its scope's counts."""
    count: Counter[str] = Counter({envelope.state: 1}) + Counter(envelope.flaws)
    if envelope.state == "landed":
        count["bytes"] = len(envelope.payload)
    return count


def _log_if_lost(envelope: Envelope) -> None:
    if envelope.state in ("missing", "rejected", "unlisted"):
        logger.warning(f"{envelope.natural_id}: {envelope.state}, {envelope.reason}")


def _in_words(counts: Counter[str]) -> str:
    states = ", ".join(f"{counts[name]} {name}" for name in (*STATES, *FLAWS) if counts[name])
    return f"{states or 'nothing'} ({counts['bytes'] / 1e6:.1f} MB)"
