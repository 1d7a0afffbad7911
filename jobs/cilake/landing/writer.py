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

QUARANTINED_BYTES = 8 * 1024 * 1024


def read_known(catalog: Catalog, address: str) -> dict[str, Known]:
    """What is stored last under each natural id of a raw table."""
    rows = catalog.load_table(address).scan(
        selected_fields=("natural_id", "served_at", "fetched_at", "content_sha256", "etag")
    ).to_arrow()  # fmt: skip
    order = pc.sort_indices(rows, sort_keys=[("served_at", "ascending"), ("fetched_at", "ascending")])
    last = rows.select(["natural_id", "content_sha256", "etag"]).take(order).to_pylist()
    return {row["natural_id"]: Known(row["content_sha256"], row["etag"]) for row in last}


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


def append_quarantine(catalog: Catalog, envelopes: Iterable[Envelope], *, day: date, landing_id: str) -> int:
    """How many envelopes were quarantined: those in state ``rejected``."""
    rows = [
        {
            "source": envelope.source,
            "endpoint": envelope.endpoint,
            "natural_id": envelope.natural_id,
            "partition_date": day,
            "landing_id": landing_id,
            "reason": envelope.reason,
            "http_status": envelope.http_status,
            "payload": envelope.payload[:QUARANTINED_BYTES],
            "payload_bytes": len(envelope.payload),
            "quarantined_at": datetime.now(UTC),
        }
        for envelope in envelopes
        if envelope.state == "rejected"
    ]
    return _append(catalog, "ops.quarantine", rows)


def append_receipts(
    catalog: Catalog, counts: Mapping[str, Counter[str]], *, source: str, day: date, landing_id: str
) -> int:
    """How many receipts were written: one per scope, from the number of its payloads by state."""
    rows = [
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
    return _append(catalog, "ops.receipts", rows)


def append_rows(catalog: Catalog, address: str, rows: list[dict[str, object]]) -> int:
    """How many rows were appended to a small table of the platform's own records."""
    return _append(catalog, address, rows)


def _append(catalog: Catalog, address: str, rows: Sequence[Mapping[str, object]]) -> int:
    if rows:
        schema = arrow_schema(contract(address))
        catalog.load_table(address).append(pa.Table.from_pylist(list(rows), schema=schema))
    return len(rows)
