"""Data files that are written beside the engines: sorted Parquet files, one for each month of their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table as IcebergTable
from pyiceberg.types import ListType

from cilake.contracts.model import Table
from cilake.lake.catalog import arrow_schema

FIELD_ID = "PARQUET:field_id"
ROWS_PER_GROUP = 1_000_000
DICTIONARY_BYTES = 8 << 20
"""Up to so many bytes of distinct values a column of a row group is written as a dictionary."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table's files go, and what is in them: its columns with the ids that Iceberg knows them by."""

    folder: str
    schema: pa.Schema
    day_column: str
    sort_by: tuple[str, ...]


def place_of(present: IcebergTable, table: Table) -> Place:
    """Return where the files of a table that is kept by months go.

    Raises:
        ValueError: for a table that is partitioned otherwise.

    """
    if table.partition_by != (f"months({table.day_column})",):
        raise ValueError(f"{table.address} is not kept by months: {table.partition_by}")
    known = present.schema()
    fields = []
    for field in arrow_schema(table):
        found = known.find_field(field.name)
        if isinstance(found.field_type, ListType):
            field = field.with_type(pa.list_(_with_id(field.type.value_field, found.field_type.element_id)))
        fields.append(_with_id(field, found.field_id))
    folder = f"{present.location().rstrip('/')}/data"
    return Place(folder, pa.schema(fields), str(table.day_column), table.sort_by)


def _with_id(field: pa.Field, number: int) -> pa.Field:
    return field.with_metadata({FIELD_ID: str(number)})


def sort_by_month(rows: pa.Table, place: Place) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each month of the rows, and the places of its rows in the order of the table."""
    if not rows.num_rows:
        return
    days = rows[place.day_column].combine_chunks()
    months = pc.add(pc.multiply(pc.year(days), 12), pc.subtract(pc.month(days), 1))
    keyed = pa.table({"month": months} | {name: rows[name] for name in place.sort_by})
    order = pc.sort_indices(keyed, [(name, "ascending") for name in keyed.column_names]).to_numpy()
    month_of = months.to_numpy()[order]
    bounds = [0, *(np.flatnonzero(np.diff(month_of)) + 1), len(order)]
    for first, last in pairwise(bounds):
        year, month = divmod(int(month_of[first]), 12)
        yield f"{year:04}-{month + 1:02}", order[first:last]


def write_file(io: PyArrowFileIO, path: str, place: Place, parts: Iterator[pa.Table]) -> int:
    """Write a file of the parts, in their order, over one that is there; return the number of rows."""
    count = 0
    with (
        io.new_output(path).create(overwrite=True) as sink,
        pq.ParquetWriter(
            sink,
            place.schema,
            compression="zstd",
            compression_level=1,
            store_schema=False,
            dictionary_pagesize_limit=DICTIONARY_BYTES,
        ) as file,
    ):
        for part in parts:
            file.write_table(part.select(place.schema.names).cast(place.schema), ROWS_PER_GROUP)
            count += part.num_rows
    return count


def in_parts(
    order: np.ndarray, sizes: np.ndarray, make: Callable[[np.ndarray], pa.Table]
) -> Iterator[pa.Table]:
    """Yield what is made of places, so many at a time that their sizes add up to a row group.

    What alone is larger comes alone.
    """
    ends = np.cumsum(sizes)
    first = 0
    while first < len(order):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + ROWS_PER_GROUP, side="right")))
        yield make(order[first:last])
        first = last
