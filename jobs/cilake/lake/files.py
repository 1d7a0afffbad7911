"""Files of tables: those that snapshots brought, and their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation, ancestors_of


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
