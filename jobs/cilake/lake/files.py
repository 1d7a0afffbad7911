"""Files of tables: those that snapshots brought, and their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.dataset import Dataset, dataset
from pyarrow.fs import FileSystem
from pyiceberg.expressions import AlwaysFalse, AlwaysTrue, BooleanExpression
from pyiceberg.expressions.parser import parse
from pyiceberg.expressions.visitors import bind
from pyiceberg.io.pyarrow import PyArrowFileIO, expression_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation, ancestors_of

from cilake.windows import spans_of


def appended_files(present: IcebergTable, base: int, head: int) -> list[DataFile]:
    """Return the files that were appended by the snapshots after ``base`` up to ``head``."""
    files = []
    for snapshot in ancestors_of(present.snapshot_by_id(head), present.metadata):
        if snapshot.snapshot_id == base:
            break
        if snapshot.summary is None or snapshot.summary.operation is not Operation.APPEND:
            continue
        files += [
            entry.data_file
            for manifest in snapshot.manifests(present.io)
            if manifest.added_snapshot_id == snapshot.snapshot_id
            for entry in manifest.fetch_manifest_entry(present.io)
            if entry.snapshot_id == snapshot.snapshot_id
        ]
    return files


def count_values(present: IcebergTable, paths: Iterable[str]) -> int:
    """Return how many values files hold, with those in lists: by their footers, nothing is read."""
    count = 0
    for path in paths:
        with present.io.new_input(path).open() as file:
            footer = pq.read_metadata(file)
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            count += sum(group.column(place).num_values for place in range(group.num_columns))
    return count


def read_files(present: IcebergTable, paths: Iterable[str], columns: Sequence[str]) -> pa.Table:
    """Return columns of all rows in files of a table."""
    schema = pa.schema([present.schema().as_arrow().field(name) for name in columns])
    parts = []
    for path in paths:
        with present.io.new_input(path).open() as file:
            parts.append(pq.read_table(file, columns=list(columns)).select(columns).cast(schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()


def open_days(
    present: IcebergTable,
    day_column: str | None,
    days: Iterable[date] | None,
    *,
    snapshot: int | None,
    limit: int,
) -> tuple[pa.Table | Dataset, int] | None:
    """Return the rows of some days, read as they are asked for, and how many rows their files hold.

    Without days, or a column of days, all rows; of the current snapshot where none is named. ``None`` where
    the files hold more than ``limit`` rows, or some of their rows are deleted by other files.
    """
    wanted = _of_days(day_column, days) if day_column and days is not None else AlwaysTrue()
    tasks = list(present.scan(row_filter=wanted, snapshot_id=snapshot).plan_files())
    held = sum(task.file.record_count for task in tasks)
    if held > limit or any(task.delete_files for task in tasks):
        return None
    schema = pa.schema([field.with_nullable(True) for field in present.schema().as_arrow()])
    if not tasks:
        return schema.empty_table(), 0
    paths = [PyArrowFileIO.parse_location(task.file.file_path) for task in tasks]
    names, place = [path for _, _, path in paths], _file_system(present, paths[0])
    rows = dataset(names, schema=schema, format="parquet", filesystem=place)
    if wanted != AlwaysTrue():
        bound = bind(present.schema(), wanted, case_sensitive=True)
        rows = rows.filter(expression_to_pyarrow(bound))
    return rows, held


def _file_system(present: IcebergTable, location: tuple[str, str, str]) -> FileSystem:
    scheme, host, _ = location
    if not isinstance(present.io, PyArrowFileIO):
        raise TypeError(f"files are read by {type(present.io).__name__}, not by PyArrowFileIO")
    return present.io.fs_by_scheme(scheme, host)


def _of_days(column: str, days: Iterable[date]) -> BooleanExpression:
    spans = (f"({column} >= '{first}' and {column} <= '{last}')" for first, last in spans_of(days))
    condition = " or ".join(spans)
    return parse(condition) if condition else AlwaysFalse()
