"""A connection to the lake: its tables, what they mean, their rows, and SQL over them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And, parser
from pyiceberg.table import DataScan, Table
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import ProgrammingError

from cilake.client.condition import parse_condition, refuse_condition
from cilake.client.frames import answer_frame, table_frame
from cilake.client.query import (
    Day,
    Instant,
    LakeError,
    check_columns,
    check_limit,
    day_filter,
    find_table,
    instant,
)
from cilake.client.statement import ask, login
from cilake.contracts.registry import tables
from cilake.lake.catalog import open_catalog
from cilake.settings import Settings, find_settings, require

if TYPE_CHECKING:
    import polars as pl

Form = Literal["pandas", "polars", "arrow"]
EXPORTS = (".parquet", ".csv")


def connect(settings: str | Path | Settings | None = None) -> Lake:
    """Return the lake of this deployment; see ``find_settings`` for where it is looked for.

    Raises:
        SettingsError: when there is none, with what to do.

    """
    return Lake(settings if isinstance(settings, Settings) else find_settings(settings))


class Lake:
    """The tables of one lake, read-only."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            self._catalog: Catalog = open_catalog(settings)
        except ProgrammingError:  # the catalog's own tables are missing, and a reader may not create them
            raise LakeError("the lake has no tables yet: run `cilake bootstrap`") from None

    def tables(self) -> pd.DataFrame:
        """Return one row per table: address, title, grain, rows, newest change (UTC) and who makes it."""
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
        """Return one row per column: name, type, unit, whether it may be null, meaning, allowed values.

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
            "day_column": table.day_column,
            "freshness_hours": table.freshness_hours,
            "caveats": list(table.caveats),
            "example_query": table.example_query,
        }
        return columns

    @overload
    def read(
        self,
        address: str,
        *,
        start: Day | None = ...,
        end: Day | None = ...,
        columns: Sequence[str] | None = ...,
        where: str = ...,
        as_of: Instant | None = ...,
        limit: int | None = ...,
        form: Literal["pandas"] = ...,
        progress: bool | None = ...,
    ) -> pd.DataFrame: ...
    @overload
    def read(
        self,
        address: str,
        *,
        start: Day | None = ...,
        end: Day | None = ...,
        columns: Sequence[str] | None = ...,
        where: str = ...,
        as_of: Instant | None = ...,
        limit: int | None = ...,
        form: Literal["polars"],
        progress: bool | None = ...,
    ) -> pl.DataFrame: ...
    @overload
    def read(
        self,
        address: str,
        *,
        start: Day | None = ...,
        end: Day | None = ...,
        columns: Sequence[str] | None = ...,
        where: str = ...,
        as_of: Instant | None = ...,
        limit: int | None = ...,
        form: Literal["arrow"],
        progress: bool | None = ...,
    ) -> pa.Table: ...
    def read(
        self,
        address: str,
        *,
        start: Day | None = None,
        end: Day | None = None,
        columns: Sequence[str] | None = None,
        where: str = "",
        as_of: Instant | None = None,
        limit: int | None = None,
        form: Form = "pandas",
        progress: bool | None = None,
    ) -> Any:
        """Return rows of a table as ``pandas`` (default), ``polars`` or ``arrow``.

        In pandas, days are ``datetime64[s]``, instants are UTC, and what may be null keeps its integers and
        booleans (``Int64``, ``boolean``).

        Args:
            address: such as ``core.test_results``.
            start: the first day; only the partitions of these days are read.
            end: the first day left out.
            columns: read only these.
            where: a condition on columns: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``between … and …``,
                ``in (…)``, ``not in (…)``, ``like 'beginning%'``, ``not like``, ``is null``, ``is not null``,
                ``is nan``, ``is not nan``, joined by ``and``, ``or``, ``not`` and parentheses. Text, days and
                instants are quoted: ``run_date >= '2026-02-20'``,
                ``started_at < '2026-02-20T12:00:00+00:00'``.
            as_of: a day or an instant: the table as it was then.
            limit: at most so many rows.
            form: what to return.
            progress: show a bar on standard error (default: on a terminal only).

        Raises:
            LakeError: for an unknown table, column, form or condition, a day that is none, an empty range, or
                a time before the first rows.

        """
        if form not in ("pandas", "polars", "arrow"):
            raise LakeError(f"no form {form!r}: choose pandas, polars or arrow")
        frame = _polars().from_arrow if form == "polars" else table_frame
        scan = self._scan(address, start, end, columns, where, as_of, limit)
        schema = scan.projection().as_arrow()
        batches = [batch.cast(schema) for batch in _told(scan, progress, f"reading {address}")]
        rows = pa.Table.from_batches(batches, schema=schema)
        return rows if form == "arrow" else frame(rows)

    def export(
        self,
        address: str,
        path: str | Path,
        *,
        start: Day | None = None,
        end: Day | None = None,
        columns: Sequence[str] | None = None,
        where: str = "",
        as_of: Instant | None = None,
        limit: int | None = None,
        progress: bool | None = None,
    ) -> int:
        """Write rows to the file ``path``, Parquet or CSV by its ending, batch by batch; return how many.

        The other arguments are those of :meth:`read`. The file appears when it is complete.
        """
        target = _check_target(Path(path))
        scan = self._scan(address, start, end, columns, where, as_of, limit)
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
        """Return the rows of one statement in Trino; tables are named as here, ``core.test_results``.

        Columns are typed by Trino's types: days and instants as in :meth:`read`, integers and booleans as
        types that may hold nulls, decimals as floats.

        Raises:
            LakeError: with Trino's message, when it refuses the statement or does not respond.

        """
        require(self._settings, "trino_url")
        with ask(self._settings.trino_url, statement, **login(self._settings)) as (columns, pages):
            return answer_frame(columns, [row for page in pages for row in page])

    def _scan(
        self,
        address: str,
        start: Day | None = None,
        end: Day | None = None,
        columns: Sequence[str] | None = None,
        where: str = "",
        as_of: Instant | None = None,
        limit: int | None = None,
    ) -> DataScan:
        table = find_table(address)
        wanted = check_columns(table, columns)
        most = check_limit(limit)
        days = day_filter(table, start, end)
        condition = parse_condition(table, where)
        moment = None if as_of is None else instant(as_of)
        loaded = self._load(address)
        snapshot_id = None
        if moment is not None:
            snapshot = loaded.snapshot_as_of_timestamp(int(moment.timestamp() * 1000))
            if snapshot is None:
                raise _nothing_yet(address, moment, loaded)
            snapshot_id = snapshot.snapshot_id
        try:
            scan = loaded.scan(
                row_filter=And(parser.parse(days), condition) if days else condition,
                selected_fields=wanted,
                snapshot_id=snapshot_id,
                limit=most,
            )
            scan.plan_files()  # a condition that does not fit the table says so here
        except (ValueError, TypeError) as error:
            raise refuse_condition(where, error) from None
        return scan

    def _load(self, address: str) -> Table:
        try:
            return self._catalog.load_table(address)
        except NoSuchTableError:
            raise LakeError(f"{address} does not exist yet: run `cilake bootstrap`") from None


def _polars() -> Any:
    try:
        import polars
    except ImportError:
        raise LakeError("polars is not installed: pip install 'cilake[polars]'") from None
    return polars


def _check_target(target: Path) -> Path:
    """Return the file to write, which must have a known ending and a folder that can be written."""
    if target.suffix not in EXPORTS:
        raise LakeError(f"cannot write {target.name}: name a file that ends in {' or '.join(EXPORTS)}")
    if not target.parent.is_dir():
        raise LakeError(f"cannot write {target}: there is no folder {target.parent}")
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        raise LakeError(f"cannot write {target}: it is a folder, or in one that you may not write")
    return target


def _nothing_yet(address: str, moment: datetime, loaded: Table) -> LakeError:
    text = f"{address} had no rows yet as of {moment:%Y-%m-%d %H:%M:%S} UTC"
    known = [snapshot.timestamp_ms for snapshot in loaded.snapshots()]
    if not known:
        return LakeError(f"{text}, nor has it now")
    first = datetime.fromtimestamp(min(known) / 1000, UTC)
    oldest = f"the oldest state that is kept was published at {first:%Y-%m-%d %H:%M:%S} UTC"
    return LakeError(f"{text} ({oldest})", "published")


def _told(scan: DataScan, progress: bool | None, title: str) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a scan, with a bar of the rows of the files to be read."""
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
