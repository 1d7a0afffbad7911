"""Appending to the tables that no audit stands before: payloads and the platform's own records.

Their rows come from our own code, so a row that breaks the contract is a fault of the program and nothing of
the batch is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog

from cilake.contracts.model import Table
from cilake.contracts.registry import table as contract
from cilake.lake.catalog import arrow_schema


class RecordError(ValueError):
    """Rows that do not keep the contract of their table; says which rule and column."""


def append_rows(catalog: Catalog, address: str, rows: Sequence[Mapping[str, object]]) -> int:
    """Append rows in one commit and return how many.

    Raises:
        RecordError: when a rule of the contract does not hold; nothing is appended.

    """
    if rows:
        declared = contract(address)
        batch = pa.Table.from_pylist(list(rows), schema=arrow_schema(declared))
        check(declared, batch)
        catalog.load_table(address).append(batch)
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
