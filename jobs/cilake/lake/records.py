"""Appending to the tables without an audit: payloads and the platform's own records.

Their rows come from our own code, so a row that breaks the contract is a fault of the program and nothing of
the batch is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import BooleanExpression
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import TableProperties

from cilake.contracts.model import Table
from cilake.contracts.registry import table as contract
from cilake.lake.catalog import arrow_schema


class RecordError(ValueError):
    """Rows that do not keep the contract of their table; says which rule and column."""


TRIES = 8
"""How often an append is tried when other writers commit in between."""


def append_missing(
    catalog: Catalog, address: str, rows: Sequence[Mapping[str, object]], *, where: BooleanExpression
) -> int:
    """Append in one commit the rows whose key is not in the table; return how many.

    ``where`` holds for all rows of the table that may have one of the keys. Two writers at once append a row
    once: a commit after another writer's is refused and tried again, having looked again.

    Raises:
        RecordError: when a rule of the contract does not hold; nothing is appended.
        CommitFailedException: when other writers came between every time.

    """
    key = contract(address).primary_key
    for attempt in range(TRIES):
        table = catalog.load_table(address)
        # PyIceberg would append again to whatever another writer left; for this one commit it must not. The
        # property of the table itself stays, as Spark's commits rely on it.
        table.metadata.properties[TableProperties.COMMIT_NUM_RETRIES] = "0"
        found = table.scan(row_filter=where, selected_fields=key).to_arrow().to_pylist()
        known = {tuple(row.values()) for row in found}
        # A scan gives the columns in the table's order.
        order = tuple(found[0]) if found else key
        missing = [row for row in rows if tuple(row[name] for name in order) not in known]
        try:
            return _append(table, contract(address), missing)
        except CommitFailedException:
            if attempt + 1 == TRIES:
                raise
    raise AssertionError("the last try returns or raises")


def append_rows(catalog: Catalog, address: str, rows: Sequence[Mapping[str, object]]) -> int:
    """Append rows in one commit and return how many.

    Raises:
        RecordError: when a rule of the contract does not hold; nothing is appended.

    """
    return _append(catalog.load_table(address), contract(address), rows) if rows else 0


def _append(table: IcebergTable, declared: Table, rows: Sequence[Mapping[str, object]]) -> int:
    if declared.write_mode != "append":
        raise TypeError(f"{declared.address} is not only appended to: see its write_mode")
    if rows:
        batch = pa.Table.from_pylist(list(rows), schema=arrow_schema(declared))
        check(declared, batch)
        table.append(batch)
    return len(rows)


def check(table: Table, rows: pa.Table) -> None:
    """Check what the contract says about rows: no null where none is allowed, closed lists, counts, the key.

    Raises:
        RecordError: naming the column and an example.

    """
    for column in table.columns:
        values = rows[column.name].combine_chunks()
        if not column.nullable and values.null_count:
            raise RecordError(f"{table.address}.{column.name} may not be null")
        if column.allowed:
            known = pc.is_in(values, value_set=pa.array(column.allowed, values.type), skip_nulls=True)
            _refuse(table, column.name, values, pc.and_(pc.is_valid(values), pc.invert(known)))
        if column.name.endswith(("_count", "_bytes", "_seconds")):
            _refuse(table, column.name, values, pc.fill_null(pc.less(values, 0), False))
    counted = rows.select(table.primary_key).group_by(table.primary_key).aggregate([([], "count_all")])
    if counted.num_rows < rows.num_rows:
        (twice,) = counted.filter(pc.greater(counted["count_all"], 1)).slice(0, 1).to_pylist()
        raise RecordError(f"{table.address}: one key twice in a batch: {twice}")


def _refuse(table: Table, name: str, values: pa.Array, is_wrong: pa.Array) -> None:
    wrong = values.filter(is_wrong)
    if len(wrong):
        raise RecordError(f"{table.address}.{name} may not be {wrong[0].as_py()!r}")
