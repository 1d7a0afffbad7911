"""The newest receipt of every part of a source and day, kept next to all receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import And, EqualTo, In, Reference
from pyiceberg.expressions.literals import literal
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import TableProperties

from cilake.contracts.ops.latest_receipts import TABLE
from cilake.contracts.ops.receipts import TABLE as RECEIPTS
from cilake.lake.catalog import arrow_schema
from cilake.lake.records import TRIES

WEEK = timedelta(days=7)


def replace_latest_receipts(
    catalog: Catalog, receipts: Sequence[Mapping[str, object]], *, source: str, day: date
) -> None:
    """Put the receipts, the newest of their scopes for this day, in place of earlier ones in one commit.

    A table that was never written is filled from all receipts instead, of which these are the last. After
    another writer's commit it is tried again.
    """
    for attempt in range(TRIES):
        try:
            _replace(catalog, receipts, source, day)
            return
        except (CommitFailedException, ValidationException):  # as by the landing of another source
            if attempt + 1 == TRIES:
                raise


def _replace(catalog: Catalog, receipts: Sequence[Mapping[str, object]], source: str, day: date) -> None:
    if not receipts or fill_latest_receipts(catalog):
        return
    scopes = {literal(str(receipt["scope"])) for receipt in receipts}
    earlier = And(
        EqualTo(term=Reference("source"), value=literal(source)),
        EqualTo(term=Reference("partition_date"), value=literal(day)),
        In(term=Reference("scope"), values=scopes),
    )
    latest = _load(catalog)
    rows = _rows(receipts)
    # An overwrite warns when no file can hold earlier receipts, which is so for every new day.
    if any(True for _ in latest.scan(row_filter=earlier).plan_files()):
        latest.overwrite(rows, overwrite_filter=earlier)
    else:
        latest.append(rows)


def read_unlisted(catalog: Catalog, source: str, day: date) -> dict[str, int]:
    """Return for each scope how much was not listed at its newest landing for a day of the week before."""
    earlier = f"source = '{source}' and partition_date < '{day}' and partition_date >= '{day - WEEK}'"
    receipts = catalog.load_table(TABLE.address).scan(
        row_filter=earlier, selected_fields=("scope", "partition_date", "unlisted_count")
    ).to_arrow().sort_by("partition_date").to_pylist()  # fmt: skip
    return {receipt["scope"]: receipt["unlisted_count"] for receipt in receipts}


def fill_latest_receipts(catalog: Catalog) -> int:
    """Fill a table that was never written from all receipts; return the number of its rows, else 0."""
    latest = _load(catalog)
    if latest.current_snapshot() is not None:
        return 0
    receipts = catalog.load_table(RECEIPTS.address).scan().to_arrow().sort_by("landed_at").to_pylist()
    newest = {tuple(receipt[name] for name in TABLE.primary_key): receipt for receipt in receipts}
    if newest:
        latest.append(_rows(list(newest.values())))
    return len(newest)


def _load(catalog: Catalog) -> IcebergTable:
    """Return the table as it is; PyIceberg would append again to whatever another writer left."""
    latest = catalog.load_table(TABLE.address)
    latest.metadata.properties[TableProperties.COMMIT_NUM_RETRIES] = "0"
    return latest


def _rows(receipts: Sequence[Mapping[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(receipts), schema=arrow_schema(TABLE))
