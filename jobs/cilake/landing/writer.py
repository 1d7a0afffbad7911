"""Envelopes into raw tables, receipts and quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog

from cilake.contracts.registry import table as contract
from cilake.lake.catalog import arrow_schema
from cilake.landing.envelope import STATES, Envelope, Known
from cilake.landing.latest_receipts import replace_latest_receipts
from cilake.landing.quarantine import append_quarantine


def read_known(catalog: Catalog, address: str, day: date) -> dict[str, Known]:
    """What is stored under each natural id of a raw table: last up to the day, and for the day itself.

    Later days do not count, so a day landed again meets what it met the first time.
    """
    rows = catalog.load_table(address).scan(
        row_filter=f"partition_date <= '{day}'",
        selected_fields=("natural_id", "partition_date", "served_at", "fetched_at", "content_sha256", "etag"),
    ).to_arrow()  # fmt: skip
    order = pc.sort_indices(rows, sort_keys=[("served_at", "ascending"), ("fetched_at", "ascending")])
    of_day: dict[str, set[str]] = {}
    last: dict[str, tuple[str, str | None]] = {}
    for row in rows.drop_columns(["served_at", "fetched_at"]).take(order).to_pylist():
        last[row["natural_id"]] = row["content_sha256"], row["etag"]
        if row["partition_date"] == day:
            of_day.setdefault(row["natural_id"], set()).add(row["content_sha256"])
    return {name: Known(*facts, frozenset(of_day.get(name, ()))) for name, facts in last.items()}


def append_payloads(
    catalog: Catalog, address: str, envelopes: Iterable[Envelope], *, day: date, landing_id: str
) -> int:
    """How many envelopes were stored: those in state ``landed``, in one atomic commit."""
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
    return _append(catalog, address, rows)


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
            **{f"{state}_count": count[state] for state in STATES},
            "landed_bytes": count["bytes"],
            "landed_at": datetime.now(UTC),
        }
        for scope, count in sorted(counts.items())
    ]
    count = _append(catalog, "ops.receipts", rows)
    replace_latest_receipts(catalog, rows, source=source, day=day)
    return count


def append_rows(catalog: Catalog, address: str, rows: list[dict[str, object]]) -> int:
    """How many rows were appended to a small table of the platform's own records."""
    return _append(catalog, address, rows)


def _append(catalog: Catalog, address: str, rows: Sequence[Mapping[str, object]]) -> int:
    if rows:
        schema = arrow_schema(contract(address))
        catalog.load_table(address).append(pa.Table.from_pylist(list(rows), schema=schema))
    return len(rows)
