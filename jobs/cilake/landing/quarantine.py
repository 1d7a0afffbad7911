"""What could not be read, kept once with its reason however often it is met."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.expressions import In, Reference
from pyiceberg.expressions.literals import literal

from cilake.contracts.ops.quarantine import TABLE
from cilake.lake.records import append_missing

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
    if not by_key:
        return 0
    days = {literal(row["partition_date"]) for row in by_key.values()}  # type: ignore[type-var]  # these are dates
    where = In(term=Reference("partition_date"), values=days)
    return append_missing(catalog, TABLE.address, list(by_key.values()), where=where)
