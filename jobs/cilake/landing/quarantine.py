"""What could not be read, kept once with its reason however often it is met."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.expressions import In, Reference
from pyiceberg.expressions.literals import literal

from cilake.contracts.ops.quarantine import TABLE
from cilake.lake.records import append_rows

KEPT_BYTES = 8 * 1024 * 1024
REASON_LENGTH = 500


def append_quarantine(catalog: Catalog, rows: Iterable[dict[str, object]]) -> int:
    """Append the rows whose key is not there yet, with the time of now; return how many.

    A row lacks ``part``, ``payload`` and what else may be left out when it is about a whole reply, or when
    its payload is stored already.
    """
    now = datetime.now(UTC)
    by_key: dict[tuple[object, ...], dict[str, object]] = {}
    for row in rows:
        full = {"part": "", "http_status": None, "payload": None, "payload_bytes": 0} | row
        payload = full["payload"]
        full["reason"] = str(full["reason"])[:REASON_LENGTH]
        full["payload"] = payload[:KEPT_BYTES] if isinstance(payload, bytes) else None
        by_key.setdefault(tuple(full[name] for name in TABLE.primary_key), full | {"quarantined_at": now})
    known = _known(catalog, by_key) if by_key else set()
    new = [row for key, row in by_key.items() if key not in known]
    return append_rows(catalog, TABLE.address, new)


def _known(catalog: Catalog, keys: Iterable[tuple[object, ...]]) -> set[tuple[object, ...]]:
    """Return the keys of what is in quarantine for the days of the keys."""
    place = TABLE.primary_key.index("partition_date")
    days = {literal(key[place]) for key in keys}  # type: ignore[type-var]  # these are dates
    found = catalog.load_table(TABLE.address).scan(
        row_filter=In(term=Reference("partition_date"), values=days),
        selected_fields=TABLE.primary_key,
    )
    return {tuple(row[name] for name in TABLE.primary_key) for row in found.to_arrow().to_pylist()}
