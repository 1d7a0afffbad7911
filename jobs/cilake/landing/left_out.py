"""The tabs that are left out by decision."""

from __future__ import annotations

from datetime import UTC, date, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.expressions import EqualTo, Reference
from pyiceberg.expressions.literals import literal

from cilake.contracts.ops.left_out import TABLE
from cilake.lake.records import append_rows


def read_left_out(catalog: Catalog, source: str, day: date) -> dict[str, str]:
    """Return why a natural id is left out for the day, by natural id."""
    same_source = EqualTo(term=Reference("source"), value=literal(source))
    rows = catalog.load_table(TABLE.address).scan(row_filter=same_source).to_arrow().to_pylist()
    newest = {row["natural_id"]: row for row in sorted(rows, key=lambda row: row["decided_at"])}
    return {
        natural_id: f"{row['reason']} (since {row['from_date']})"
        for natural_id, row in newest.items()
        if row["from_date"] <= day and (row["until_date"] is None or day < row["until_date"])
    }


def leave_out(
    catalog: Catalog, source: str, natural_id: str, *, reason: str, start: date, end: date | None
) -> None:
    """Exclude it from the day ``start`` to before ``end``, or until decided otherwise."""
    row: dict[str, object] = {
        "source": source,
        "natural_id": natural_id,
        "reason": reason,
        "from_date": start,
        "until_date": end,
        "decided_at": datetime.now(UTC),
    }
    append_rows(catalog, TABLE.address, [row])
