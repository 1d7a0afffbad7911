"""Envelopes into raw tables, receipts and quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And, BooleanExpression, EqualTo, In, Reference
from pyiceberg.expressions.literals import literal

from cilake.contracts.ops.fetches import TABLE as FETCHES
from cilake.lake.catalog import newest_date
from cilake.lake.records import append_missing, append_rows
from cilake.landing.envelope import FLAWS, STATES, Envelope, Fetch, StoredContent
from cilake.landing.latest_receipts import replace_latest_receipts
from cilake.landing.quarantine import append_quarantine
from cilake.windows import known_until

KNOWN_DAYS = 35
"""How far around a day replies are looked at: nothing that is requested every night is older."""
NOTE_LENGTH = 500
_FETCHED = ("natural_id", "served_at", "content_sha256", "partition_date", "fetched_at", "etag")


def read_known(
    catalog: Catalog, source: str, addresses: Mapping[str, str], day: date
) -> dict[str, dict[str, StoredContent]]:
    """Return what earlier replies showed, by endpoint and natural id; ``addresses`` are the raw tables.

    Replies of landings within ``KNOWN_DAYS`` of the day count, and of the newest day, which a live source is
    compared with whatever the day: what was not requested for so long is stored again. The entity tag is that
    of the newest reply up to the day.
    """
    days = _days_looked_at(catalog, day)
    fetched = catalog.load_table(FETCHES.address).scan(
        row_filter=f"source = '{source}' and {days}",
        selected_fields=("endpoint", *_FETCHED, "fetch_status"),
    ).to_arrow().to_pylist()  # fmt: skip
    replies = [
        row | {"is_stored": row["fetch_status"] == "landed"}
        for row in fetched
        if row["content_sha256"] and row["fetch_status"] != "missing"
    ]
    for endpoint, address in addresses.items():
        # A landing that was killed has stored payloads without a word about their requests.
        stored = catalog.load_table(address).scan(
            row_filter=days, selected_fields=_FETCHED
        ).to_arrow().to_pylist()  # fmt: skip
        replies += [row | {"endpoint": endpoint, "is_stored": True} for row in stored]
    grouped: dict[str, dict[str, dict[tuple[object, ...], Fetch]]] = {endpoint: {} for endpoint in addresses}
    for row in replies:
        fetch = Fetch(**{name: row[name] for name in Fetch.__slots__})
        of_id = grouped[row["endpoint"]].setdefault(row["natural_id"], {})
        key = fetch.served_at, fetch.content_sha256
        if key not in of_id or fetch.is_stored:
            of_id[key] = fetch
    return {
        endpoint: {name: _known(list(fetches.values()), day) for name, fetches in of_endpoint.items()}
        for endpoint, of_endpoint in grouped.items()
    }


def _days_looked_at(catalog: Catalog, day: date) -> str:
    reach = timedelta(days=KNOWN_DAYS)
    newest = newest_date(catalog, FETCHES) or day
    near = f"partition_date >= '{day - reach}' and partition_date <= '{day + reach}'"
    return f"(({near}) or partition_date >= '{newest - reach}')"


def _known(fetches: list[Fetch], day: date) -> StoredContent:
    in_order = sorted(fetches, key=lambda fetch: (fetch.served_at, fetch.fetched_at))
    newest = next((fetch for fetch in reversed(in_order) if fetch.partition_date <= day), None)
    return (
        StoredContent(tuple(in_order), newest.etag, newest.content_sha256)
        if newest
        else StoredContent(tuple(in_order))
    )


def append_payloads(
    catalog: Catalog, address: str, envelopes: Sequence[Envelope], *, day: date, landing_id: str
) -> int:
    """Store the envelopes in state ``landed`` that are not there yet, in one commit; return how many."""
    rows = [
        {
            "source": envelope.source,
            "endpoint": envelope.endpoint,
            "natural_id": envelope.natural_id,
            "partition_date": day,
            "fetched_at": envelope.fetched_at,
            "served_at": envelope.served_at,
            "http_status": envelope.http_status,
            "etag": envelope.etag,
            "payload": envelope.payload,
            "payload_bytes": len(envelope.payload),
            "payload_sha256": envelope.payload_sha256,
            "content_sha256": envelope.content_sha256,
            "landing_id": landing_id,
        }
        for envelope in envelopes
        if envelope.state == "landed"
    ]
    if not rows:
        return 0
    return append_missing(catalog, address, rows, where=_served_with(rows))


def _served_with(rows: Iterable[Mapping[str, object]]) -> BooleanExpression:
    """Return the condition that a row was served at the same instant as one of these."""
    moments = {literal(row["served_at"]) for row in rows}  # type: ignore[type-var]  # these are datetimes
    return In(term=Reference("served_at"), values=moments)


def quarantine_rejected(
    catalog: Catalog, envelopes: Iterable[Envelope], *, day: date, landing_id: str
) -> int:
    """Keep the envelopes in state ``rejected`` in quarantine; return how many are new there."""
    rows: list[dict[str, object]] = [
        {
            "source": envelope.source,
            "endpoint": envelope.endpoint,
            "natural_id": envelope.natural_id,
            "partition_date": day,
            "landing_id": landing_id,
            "reason": envelope.reason,
            "http_status": envelope.http_status,
            "payload": envelope.payload,
            "payload_bytes": len(envelope.payload),
        }
        for envelope in envelopes
        if envelope.state == "rejected"
    ]
    return append_quarantine(catalog, rows)


def append_receipts(
    catalog: Catalog, counts: Mapping[str, Counter[str]], *, source: str, day: date, landing_id: str
) -> int:
    """Append one receipt per scope from the number of its payloads by state; return how many.

    They also replace the earlier ones of their scopes and day in ``ops.latest_receipts``.
    """
    rows: list[dict[str, object]] = [
        {
            "source": source,
            "scope": scope,
            "partition_date": day,
            "landing_id": landing_id,
            "expected_count": sum(count[state] for state in STATES),
            **{f"{state}_count": count[state] for state in (*STATES, *FLAWS)},
            "landed_bytes": count["bytes"],
            "landed_at": datetime.now(UTC),
        }
        for scope, count in sorted(counts.items())
    ]
    count = append_rows(catalog, "ops.receipts", rows)
    replace_latest_receipts(catalog, rows, source=source, day=day)
    return count


def append_fetches(catalog: Catalog, envelopes: Iterable[Envelope], *, day: date, landing_id: str) -> int:
    """Append a row per request to ``ops.fetches``; return how many."""
    late = known_until(day)
    rows: list[dict[str, object]] = [
        {
            "source": envelope.source,
            "endpoint": envelope.endpoint,
            "scope": envelope.scope,
            "natural_id": envelope.natural_id,
            "partition_date": day,
            "landing_id": landing_id,
            "fetched_at": envelope.fetched_at,
            "served_at": envelope.served_at,
            "is_backfilled": envelope.served_at > late,
            "fetch_status": envelope.state,
            "http_status": envelope.http_status,
            "etag": envelope.etag,
            "content_sha256": envelope.content_sha256 or None,
            "payload_bytes": len(envelope.payload),
            "is_stale": envelope.is_stale,
            "gap_hours": envelope.gap_hours,
            "note": envelope.reason[:NOTE_LENGTH] or None,
        }
        for envelope in envelopes
    ]
    return append_rows(catalog, FETCHES.address, rows)


def restore_hidden(catalog: Catalog, address: str, hidden: Mapping[str, Fetch]) -> int:
    """Store again, by natural id, contents that are no longer equal to the reply before; return how many.

    The payload is taken from the raw table, where the same content is stored for another day.
    """
    if not hidden:
        return 0
    table = catalog.load_table(address)
    rows: list[dict[str, object]] = []
    for natural_id, fetch in hidden.items():
        same = And(
            EqualTo(term=Reference("natural_id"), value=literal(natural_id)),
            EqualTo(term=Reference("content_sha256"), value=literal(fetch.content_sha256)),
        )
        (stored,) = table.scan(row_filter=same, limit=1).to_arrow().to_pylist()
        rows.append(
            stored
            | {
                "served_at": fetch.served_at,
                "fetched_at": fetch.fetched_at,
                "partition_date": fetch.partition_date,
                "etag": fetch.etag,
            }
        )
    return append_missing(catalog, address, rows, where=_served_with(rows))
