"""A connection to the lake: its tables, what they mean, their rows, and SQL over them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, parser
from pyiceberg.table import DataScan, Table
from pyparsing import ParseException
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cilake.client.query import LakeError, check_columns, day_column, day_filter, find_table, instant
from cilake.client.statement import ask
from cilake.contracts.registry import tables
from cilake.lake.catalog import open_catalog
from cilake.settings import Settings, find_settings, require

if TYPE_CHECKING:
    import polars as pl

Form = Literal["pandas", "polars", "arrow"]
EXPORTS = (".parquet", ".csv")


def connect(settings: str | Path | Settings | None = None) -> Lake:
    """The lake of this deployment; see ``find_settings`` for where it is looked for.

    Raises:
        SettingsError: when there is none, with what to do.

    """
    return Lake(settings if isinstance(settings, Settings) else find_settings(settings))


class Lake:
    """The tables of one lake, read-only."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._catalog: Catalog = open_catalog(settings)

    def tables(self) -> pd.DataFrame:
        """One row per table: address, title, grain, rows, newest change (UTC) and who makes it."""
        rows = []
        for table in tables().values():
            snapshot = self._load(table.address).current_snapshot()
            summary = snapshot.summary if snapshot else None
            rows.append(
                {
                    "address": table.address,
                    "title": table.title,
                    "grain": table.grain,
                    "row_count": int(summary["total-records"] or 0) if summary else 0,
                    "changed_at": datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
                    if snapshot
                    else pd.NaT,
                    "made_by": table.made_by,
                }
            )
        return pd.DataFrame(rows).sort_values("address", ignore_index=True)

    def describe(self, address: str) -> pd.DataFrame:
        """One row per column: name, type, unit, whether it may be null, meaning, allowed values.

        What holds for the whole table is in ``attrs`` of the frame: title, grain, description, key, day
        column, promise of freshness in hours, caveats and an example query.
        """
        table = find_table(address)
        columns = pd.DataFrame(
            [
                {
                    "column": column.name,
                    "type": column.type,
                    "unit": column.unit or "",
                    "nullable": column.nullable,
                    "meaning": column.description,
                    "allowed": ", ".join(column.allowed),
                }
                for column in table.columns
            ]
        )
        columns.attrs = {
            "address": table.address,
            "title": table.title,
            "grain": table.grain,
            "description": table.description,
            "key": list(table.primary_key),
            "day_column": day_column(table),
            "freshness_hours": table.freshness_hours,
            "caveats": list(table.caveats),
            "example_query": table.example_query,
        }
        return columns

    @overload
    def read(self, address: str, *, form: Literal["pandas"] = ..., **options: Any) -> pd.DataFrame: ...
    @overload
    def read(self, address: str, *, form: Literal["polars"], **options: Any) -> pl.DataFrame: ...
    @overload
    def read(self, address: str, *, form: Literal["arrow"], **options: Any) -> pa.Table: ...
    def read(self, address: str, *, form: Form = "pandas", **options: Any) -> Any:
        """The rows of a table, as ``pandas`` (default), ``polars`` or ``arrow``.

        Args:
            address: such as ``core.test_results``.
            form: what to return.
            options: ``start`` and ``end`` (days; ``end`` is left out) so that only their partitions are read;
                ``columns`` to read only those; ``where``, a condition on columns such as
                ``"test_status = 'failed'"``; ``as_of``, a day or an instant, for the table as it was then;
                ``limit``, at most so many rows; ``progress``, a bar on standard error (default: on a terminal
                only).

        Raises:
            LakeError: for an unknown table, column, form or condition, or a time before the first rows.

        """
        if form not in ("pandas", "polars", "arrow"):
            raise LakeError(f"no form {form!r}: choose pandas, polars or arrow")
        rows = self._read(address, **options)
        if form == "arrow":
            return rows
        if form == "polars":
            import polars as pl

            return pl.from_arrow(rows)
        return rows.to_pandas()

    def export(self, address: str, path: str | Path, **options: Any) -> int:
        """How many rows were written to the file ``path``, Parquet or CSV by its ending, batch by batch.

        ``options`` are those of :meth:`read`. The file appears when it is complete.
        """
        target = Path(path)
        if target.suffix not in EXPORTS:
            raise LakeError(f"cannot write {target.name}: name a file that ends in {' or '.join(EXPORTS)}")
        progress = options.pop("progress", None)
        scan = self._scan(address, **options)
        partial = target.with_name(f".{target.name}.partial")
        count = 0
        schema = scan.projection().as_arrow()
        write = pq.ParquetWriter if target.suffix == ".parquet" else pyarrow.csv.CSVWriter
        try:
            with write(partial, schema) as writer:
                for batch in _told(scan, progress, f"exporting {address}"):
                    writer.write_batch(batch.cast(schema))
                    count += batch.num_rows
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return count

    def sql(self, statement: str) -> pd.DataFrame:
        """The answer of Trino to one statement; tables are named as here, ``core.test_results``.

        Raises:
            LakeError: with Trino's message, when it refuses the statement or does not answer.

        """
        require(self._settings, "trino_url")
        with ask(self._settings.trino_url, statement) as (columns, pages):
            return pd.DataFrame([row for page in pages for row in page], columns=columns)

    def _read(self, address: str, *, progress: bool | None = None, **options: Any) -> pa.Table:
        scan = self._scan(address, **options)
        schema = scan.projection().as_arrow()
        batches = list(_told(scan, progress, f"reading {address}"))
        return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema=schema)

    def _scan(
        self,
        address: str,
        *,
        start: str | date | None = None,
        end: str | date | None = None,
        columns: Sequence[str] | None = None,
        where: str = "",
        as_of: str | date | datetime | None = None,
        limit: int | None = None,
    ) -> DataScan:
        table = find_table(address)
        wanted = check_columns(table, columns)
        days = day_filter(table, start, end)
        loaded = self._load(address)
        snapshot_id = None
        if as_of is not None:
            moment = instant(as_of)
            snapshot = loaded.snapshot_as_of_timestamp(int(moment.timestamp() * 1000))
            if snapshot is None:
                raise LakeError(_nothing_yet(address, moment, loaded))
            snapshot_id = snapshot.snapshot_id
        condition = " and ".join(f"({part})" for part in (days, where) if part)
        try:
            scan = loaded.scan(
                row_filter=parser.parse(condition) if condition else AlwaysTrue(),
                selected_fields=wanted,
                snapshot_id=snapshot_id,
                limit=limit,
            )
            scan.plan_files()  # a condition that cannot be read says so here
        except ParseException as error:
            raise LakeError(
                f"cannot read the condition {condition!r} from character {error.column} on: compare columns "
                "with =, <, >, in (…), between, like, is null; join comparisons by and, or, not"
            ) from None
        except (ValueError, TypeError) as error:
            if unknown := _UNKNOWN_FIELD.search(str(error)):
                check_columns(table, unknown.groups())
            reason = " ".join(str(error).split())
            raise LakeError(f"cannot read {address} where {condition!r}: {reason}") from None
        return scan

    def _load(self, address: str) -> Table:
        try:
            return self._catalog.load_table(address)
        except NoSuchTableError:
            raise LakeError(f"{address} is declared but not made yet: `cilake bootstrap` makes it") from None


_UNKNOWN_FIELD = re.compile(r"Could not find field with name (\w+)")


def _nothing_yet(address: str, moment: datetime, loaded: Table) -> str:
    text = f"{address} had no rows yet as of {moment:%Y-%m-%d %H:%M:%S} UTC"
    known = [snapshot.timestamp_ms for snapshot in loaded.snapshots()]
    if not known:
        return f"{text}, nor has it now"
    first = datetime.fromtimestamp(min(known) / 1000, UTC)
    return (
        f"{text}: as_of is about when rows were published, not about their days, and the oldest state that "
        f"is kept was published at {first:%Y-%m-%d %H:%M:%S} UTC; for days use start and end"
    )


def _told(scan: DataScan, progress: bool | None, title: str) -> Iterator[pa.RecordBatch]:
    """The batches of a scan, with a bar of the rows of the files to be read."""
    shown = sys.stderr.isatty() if progress is None else progress
    if not shown:
        yield from scan.to_arrow_batch_reader()
        return
    total = sum(task.file.record_count for task in scan.plan_files())
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows at most"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task_id = bar.add_task(title, total=total)
        for batch in scan.to_arrow_batch_reader():
            bar.advance(task_id, batch.num_rows)
            yield batch
        bar.update(task_id, total=bar.tasks[0].completed)
