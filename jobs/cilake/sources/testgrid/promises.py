"""What a dashboard's summary promises of its tabs, and how far their tables keep it.

A response with status 200 is not yet complete: a service that is no longer updated, a table without the
columns that the summary counts, or one whose window begins after the last request, look like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from cilake.landing.envelope import StoredContent
from cilake.sources.fetch import Flaws
from cilake.sources.runs import Decoded

LISTED_DAYS = 7
"""How long a tab that was obtained is still looked for in the listing of its dashboard."""
UPDATED_WITHIN = timedelta(days=1)
"""TestGrid's updater visits every tab several times a day."""
GRACE = timedelta(hours=1)
"""How far the summary may be ahead of the table: they are written one after the other."""
MINUTE = "%Y-%m-%d %H:%M"
_COLUMNS = re.compile(r"\d{1,9} of (\d{1,9}) ")
_MILLISECONDS = 100_000_000_000
"""No number of seconds in a summary is as large as this: some services write milliseconds."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a summary says of a tab: when it was updated, when its newest run began, columns, its mark."""

    updated_at: datetime | None = None
    last_run_at: datetime | None = None
    column_count: int = 0
    is_marked_stale: bool = False


def read_promise(entry: Mapping[str, Any]) -> Promise:
    """Return what the entry of a tab in a summary promises; what cannot be read promises nothing."""
    counted = _COLUMNS.match(str(entry.get("status") or ""))
    return Promise(
        updated_at=_instant(entry.get("last_update_timestamp")),
        last_run_at=_instant(entry.get("last_run_timestamp")),
        column_count=int(counted[1]) if counted else 0,
        is_marked_stale=entry.get("overall_status") == "STALE",
    )


def compare_table(
    promise: Promise, table: Decoded, served_at: datetime, known: StoredContent | None
) -> Flaws:
    """Return how far a table that was served then breaks the promise, after the replies known before it."""
    first, last = _span(table)
    faults = _faults(promise, served_at)
    refused = sum(reject.test_name is None for reject in table.rejects)
    if (shown := table.runs.num_rows + refused) < promise.column_count:
        faults.append(f"{shown} columns, where the summary counts {promise.column_count} recent ones")
    elif last and promise.last_run_at and last + GRACE < promise.last_run_at:
        faults.append(f"its newest run began {last:{MINUTE}}, by the summary {_minute(promise)}")
    before = [fetch.served_at for fetch in known.fetches if fetch.served_at < served_at] if known else []
    gap = (first - before[-1]) if first and before and first > before[-1] else None
    notes = [f"stale: {fault}" for fault in faults]
    if gap:
        notes.append(f"gap: its oldest run began {first:{MINUTE}}, the last reply was {before[-1]:{MINUTE}}")
    return Flaws(bool(faults), gap / timedelta(hours=1) if gap else None, "; ".join(notes))


def compare_unmodified(
    promise: Promise, served_at: datetime, known: StoredContent | None, content: str
) -> Flaws:
    """Return how far a reply breaks the promise that only says that its content is still the one known."""
    faults = _faults(promise, served_at)
    shown = [fetch.served_at for fetch in known.fetches if fetch.content_sha256 == content] if known else []
    if shown and promise.last_run_at and shown[0] + GRACE < promise.last_run_at:
        faults.append(f"unchanged since {shown[0]:{MINUTE}}, by the summary a run began {_minute(promise)}")
    return Flaws(bool(faults), None, "; ".join(f"stale: {fault}" for fault in faults))


def find_unlisted(
    listed: Iterable[str], known: Mapping[str, StoredContent], prefix: str, day: date
) -> list[str]:
    """Return the names with the prefix, obtained for ``day`` or the week before, that are not listed."""
    since = day - timedelta(days=LISTED_DAYS)
    lately = {
        name
        for name, replies in known.items()
        if name.startswith(prefix) and any(since <= fetch.partition_date <= day for fetch in replies.fetches)
    }
    return sorted(lately.difference(listed))


def _faults(promise: Promise, served_at: datetime) -> list[str]:
    """Return what the summary itself says against the tab."""
    faults = ["marked as stale by the summary"] if promise.is_marked_stale else []
    if promise.updated_at and promise.updated_at + UPDATED_WITHIN < served_at:
        faults.append(f"by the summary not updated since {promise.updated_at:{MINUTE}}")
    return faults


def _span(table: Decoded) -> tuple[datetime | None, datetime | None]:
    found = pc.min_max(table.runs["started_at"]).as_py()
    return found["min"], found["max"]


def _minute(promise: Promise) -> str:
    return f"{promise.last_run_at:{MINUTE}}"


def _instant(stamp: object) -> datetime | None:
    """Return the moment of a number of seconds or milliseconds; nothing for 0 and what is no time."""
    if isinstance(stamp, bool) or not isinstance(stamp, int | float) or not 0 < stamp < _MILLISECONDS * 100:
        return None
    return datetime.fromtimestamp(stamp / 1000 if stamp > _MILLISECONDS else stamp, UTC)
