"""Data files that are written without the engines: sorted Parquet files, one for each month of their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import OutputStream
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table as IcebergTable
from pyiceberg.types import ListType

from cilake.contracts.model import Table
from cilake.lake.catalog import arrow_schema
from cilake.lake.profiles import file_properties
from cilake.settings import Settings, read_settings

FIELD_ID = "PARQUET:field_id"
ROWS_PER_GROUP = 1_000_000
DICTIONARY_BYTES = 8 << 20
"""Up to so many bytes of distinct values a column of a row group is written as a dictionary."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where files are, as a worker gets it; the keys to them are in the worker's environment."""

    s3_endpoint: str
    s3_region: str

    @classmethod
    def of(cls, settings: Settings) -> Storage:
        """Return the storage of a deployment."""
        return cls(settings.s3_endpoint, settings.s3_region)

    def open(self) -> PyArrowFileIO:
        """Return what reads and writes its files, with the keys of this process."""
        own = replace(read_settings(), s3_endpoint=self.s3_endpoint, s3_region=self.s3_region)
        return PyArrowFileIO(file_properties(own))


@dataclass(frozen=True, slots=True)
class TableLocation:
    """Where a table's files go, and what is in them: its columns with the ids that Iceberg knows them by."""

    folder: str
    schema: pa.Schema
    day_column: str
    sort_by: tuple[str, ...]


def location_of(present: IcebergTable, table: Table) -> TableLocation:
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
    return TableLocation(folder, pa.schema(fields), str(table.day_column), table.sort_by)


def _with_id(field: pa.Field, number: int) -> pa.Field:
    return field.with_metadata({FIELD_ID: str(number)})


def month_of(day: date) -> int:
    """Return the number of a day's month since January 1970, as Iceberg counts months."""
    return (day.year - 1970) * 12 + day.month - 1


def month_name(month: int) -> str:
    """Return a month as names of files have it."""
    return f"{1970 + month // 12:04}-{month % 12 + 1:02}"


def sort_by_month(rows: pa.Table, location: TableLocation) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each month of the rows, and the indexes of its rows in the order of the table."""
    if not rows.num_rows:
        return
    days = rows[location.day_column].combine_chunks()
    years = pc.subtract(pc.year(days), 1970)
    months = pc.add(pc.multiply(years, 12), pc.subtract(pc.month(days), 1))
    keyed = pa.table({"month": months} | {name: rows[name] for name in location.sort_by})
    order = pc.sort_indices(keyed, [(name, "ascending") for name in keyed.column_names]).to_numpy()
    found = months.to_numpy()[order]
    bounds = [0, *(np.flatnonzero(np.diff(found)) + 1), len(order)]
    for first, last in pairwise(bounds):
        yield month_name(int(found[first])), order[first:last]


def write_file(io: PyArrowFileIO, path: str, location: TableLocation, parts: Iterable[pa.Table]) -> None:
    """Write a file of the parts, in their order, over one that is there."""
    with io.new_output(path).create(overwrite=True) as sink:
        write_parts(sink, location, parts)


def write_parts(sink: BinaryIO | OutputStream, location: TableLocation, parts: Iterable[pa.Table]) -> None:
    """Write the parts as a Parquet file; the same parts are the same bytes."""
    with pq.ParquetWriter(
        sink,
        location.schema,
        compression="zstd",
        compression_level=1,
        store_schema=False,
        dictionary_pagesize_limit=DICTIONARY_BYTES,
    ) as file:
        for part in parts:
            file.write_table(part.select(location.schema.names).cast(location.schema), ROWS_PER_GROUP)


def in_parts(
    order: np.ndarray, sizes: np.ndarray, make: Callable[[np.ndarray], pa.Table]
) -> Iterator[pa.Table]:
    """Yield what is made of indexes, so many at a time that their sizes add up to a row group.

    What alone is larger comes alone.
    """
    ends = np.cumsum(sizes)
    first = 0
    while first < len(order):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + ROWS_PER_GROUP, side="right")))
        yield make(order[first:last])
        first = last
