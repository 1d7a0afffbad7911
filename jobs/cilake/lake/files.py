"""Files of tables: those that snapshots brought, and their rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.dataset import Dataset, FileSystemDataset, ParquetFileFragment, dataset
from pyiceberg.expressions import AlwaysFalse, AlwaysTrue, BooleanExpression
from pyiceberg.expressions.parser import parse
from pyiceberg.expressions.visitors import bind
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO, expression_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation, ancestors_of
from pyiceberg.transforms import MonthTransform

from cilake.lake.data_files import month_of
from cilake.windows import spans_of

FILES_AT_ONCE = 8


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
            count += sum(group.column(index).num_values for index in range(group.num_columns))
    return count


def read_files(present: IcebergTable, paths: Iterable[str], columns: Sequence[str]) -> pa.Table:
    """Return columns of all rows in files of a table."""
    schema = pa.schema([present.schema().as_arrow().field(name) for name in columns])
    parts = []
    for path in paths:
        with present.io.new_input(path).open() as file:
            parts.append(pq.read_table(file, columns=list(columns)).select(columns).cast(schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()


@dataclass(frozen=True, slots=True)
class Scan:
    """Files of a table and which of their rows are meant, for whoever reads them."""

    paths: tuple[str, ...]
    schema: pa.Schema
    condition: pc.Expression | None
    row_count: int
    """How many rows the files hold."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A data file; ``month`` is that of its days, since January 1970, in a table that is kept by months."""

    path: str
    month: int | None
    row_count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The files of a table that may hold rows of some days, from which those of fewer days are chosen."""

    schema: Schema
    day_column: str | None
    files: tuple[PlannedFile, ...]

    def of_days(self, days: Collection[date] | None) -> list[PlannedFile]:
        """Return the files that may hold rows of these days; without days, or a column of days, all."""
        if days is None or self.day_column is None:
            return list(self.files)
        months = {month_of(day) for day in days}
        return [file for file in self.files if file.month is None or file.month in months]

    def scan(self, days: Collection[date] | None) -> Scan:
        """Return where the rows of these days are."""
        files = self.of_days(days)
        condition = None
        if days is not None and self.day_column:
            wanted = bind(self.schema, _of_days(self.day_column, days), case_sensitive=True)
            condition = expression_to_pyarrow(wanted)
        return Scan(
            tuple(file.path for file in files),
            pa.schema([field.with_nullable(True) for field in self.schema.as_arrow()]),
            condition,
            sum(file.row_count for file in files),
        )


def plan_days(
    present: IcebergTable, day_column: str | None, days: Collection[date] | None, *, snapshot: int | None
) -> Plan | None:
    """Return the files that may hold rows of some days; ``None`` where other files delete some of them.

    Without days, or a column of days, all files; of the current snapshot where none is named.
    """
    wanted = _of_days(day_column, days) if day_column and days is not None else AlwaysTrue()
    tasks = list(present.scan(row_filter=wanted, snapshot_id=snapshot).plan_files())
    if any(task.delete_files for task in tasks):
        return None
    is_by_month = day_column is not None and _is_kept_by_months(present, day_column)
    return Plan(
        present.schema(),
        day_column,
        tuple(
            PlannedFile(
                task.file.file_path, task.file.partition[0] if is_by_month else None, task.file.record_count
            )
            for task in tasks
        ),
    )


def _is_kept_by_months(present: IcebergTable, column: str) -> bool:
    """Return whether all files are of one month of a column, and none of an older way to keep the table."""
    source = present.schema().find_field(column).field_id
    fields = present.spec().fields
    return (
        len(present.specs()) == 1
        and len(fields) == 1
        and fields[0].source_id == source
        and isinstance(fields[0].transform, MonthTransform)
    )


def open_scan(io: FileIO, scan: Scan) -> pa.Table | Dataset:
    """Return the rows of a scan, read as they are consumed."""
    if not scan.paths:
        return scan.schema.empty_table()
    if not isinstance(io, PyArrowFileIO):
        raise TypeError(f"files are read by {type(io).__name__}, not by PyArrowFileIO")
    locations = [PyArrowFileIO.parse_location(path) for path in scan.paths]
    scheme, host, _ = locations[0]
    names, storage = [path for _, _, path in locations], io.fs_by_scheme(scheme, host)
    rows = dataset(names, schema=scan.schema, format="parquet", filesystem=storage)
    return rows if scan.condition is None else rows.filter(scan.condition)


def narrow(rows: pa.Table | Dataset, column: str, values: pa.Array) -> pa.Table | Dataset:
    """Return the rows of those files that have any of the values in a column.

    Of the others nothing but that column is read.
    """
    if not isinstance(rows, FileSystemDataset):
        return rows

    def has_any(file: ParquetFileFragment) -> bool:
        found = pc.is_in(file.to_table(columns=[column])[column], value_set=values)
        return bool(pc.any(found).as_py())

    files = list(rows.get_fragments())
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        kept = [file for file, has in zip(files, pool.map(has_any, files), strict=True) if has]
    return (
        FileSystemDataset(kept, rows.schema, rows.format, rows.filesystem)
        if kept
        else rows.schema.empty_table()
    )


def open_days(
    present: IcebergTable,
    day_column: str | None,
    days: Collection[date] | None,
    *,
    snapshot: int | None,
    limit: int,
) -> tuple[pa.Table | Dataset, int] | None:
    """Return the rows of some days, read as they are consumed, and how many rows their files hold.

    Days and snapshot are as in ``plan_days``. ``None`` where the files hold more than ``limit`` rows, or some
    of their rows are deleted by other files.
    """
    plan = plan_days(present, day_column, days, snapshot=snapshot)
    if plan is None or sum(file.row_count for file in plan.files) > limit:
        return None
    scan = plan.scan(days)
    return open_scan(present.io, scan), scan.row_count


def _of_days(column: str, days: Iterable[date]) -> BooleanExpression:
    spans = (f"({column} >= '{first}' and {column} <= '{last}')" for first, last in spans_of(days))
    condition = " or ".join(spans)
    return parse(condition) if condition else AlwaysFalse()
