"""Large tables that are kept by months: workers of Spark make each month whole, as one file.

The name of a file begins with its month and a digest of its bytes: what is made again as it was is found by
its name, and not written again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from secrets import token_hex
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cilake.build.made import Extras, make_rows
from cilake.build.targets import Target
from cilake.lake.data_files import Storage, TableLocation, location_of, month_name, month_of, write_parts
from cilake.lake.files import Scan, open_scan, plan_days
from cilake.lake.schema import conform
from cilake.lake.snapshots import Pins
from cilake.log import logger
from cilake.publish.months import MonthFile, published_months
from cilake.settings import Settings
from cilake.transforms.engines import DuckEngine

MONTH_ROWS = 8_000_000
"""So many rows may lie in the files from which a worker makes a month."""


@dataclass(frozen=True, slots=True)
class Month:
    """A month of a table: its periods, where the rows of its inputs are, and what it is now.

    ``published`` is the digest of its file, empty where there are none or several.
    """

    number: int
    periods: tuple[date, ...]
    inputs: Mapping[str, Scan]
    published: str


def plan_months(catalog: Catalog, pins: Pins, target: Target, periods: Iterable[date]) -> list[Month] | None:
    """Return the months of periods, each whole; ``None`` where one is too large for a worker.

    Also for a table that is kept otherwise, or that models share.
    """
    table = target.table
    if target.where != "true" or table.partition_by != (f"months({target.rule.column})",):
        return None
    own = catalog.load_table(table.address)
    if len(own.specs()) > 1:  # older files may be partitioned otherwise
        return None
    published = published_months(own)
    months = []
    for number in sorted({month_of(period) for period in periods}):
        days = _days_of(number)
        whole = tuple(one for one in target.rule.affected_by(days) if month_of(one) == number)
        inputs = {}
        for argument, one in target.inputs.items():
            present, pinned = catalog.load_table(one.address), pins.snapshots.get(one.address)
            scan = plan_days(
                present, one.day_column, target.rule.reach_of(whole, one.address), snapshot=pinned
            )
            if scan is None:
                return None
            inputs[argument] = scan
        if sum(scan.row_count for scan in inputs.values()) > MONTH_ROWS:
            return None
        files = published.get(number, [])
        months.append(Month(number, whole, inputs, files[0].digest if len(files) == 1 else ""))
    return months


def make_months(
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    target: Target,
    months: Sequence[Month],
    extras: Extras,
) -> dict[int, MonthFile | None]:
    """Make months of a table in workers; return the file of each, ``None`` for one without rows.

    Raises:
        MemoryError: when a month is too large for a worker.

    """
    location = location_of(catalog.load_table(target.table.address), target.table)
    logger.info(f"{target.table.address}: making {len(months):,} months")
    work = partial(_work, tuple(months), Storage.of(settings), target, location, dict(extras), token_hex(8))
    count = len(months)
    made = spark.range(0, count, 1, count).mapInArrow(work, "made string").toArrow()
    files: dict[int, MonthFile | None] = {}
    for number, file, error in map(json.loads, made["made"].to_pylist()):
        if error:
            raise MemoryError(error)
        files[number] = MonthFile(**file) if file else None
    return files


def _days_of(month: int) -> list[date]:
    first, after = (date(1970 + one // 12, one % 12 + 1, 1) for one in (month, month + 1))
    return [first + timedelta(days=offset) for offset in range((after - first).days)]


def _work(
    months: Sequence[Month],
    storage: Storage,
    target: Target,
    location: TableLocation,
    extras: Extras,
    attempt: str,
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for number in batch["id"].to_pylist():
            file, error = None, ""
            try:
                file = make_month(months[number], storage, target, location, extras, attempt)
            except MemoryError as exceeded:
                error = str(exceeded) or "too little memory"
            yield pa.RecordBatch.from_pydict({"made": [json.dumps([months[number].number, file, error])]})


def make_month(
    month: Month, storage: Storage, target: Target, location: TableLocation, extras: Extras, attempt: str
) -> dict[str, Any] | None:
    """Make a month and write its file, unless it is published; return what it is, ``None`` without rows."""
    files = storage.open()
    inputs = {name: open_scan(files, scan) for name, scan in month.inputs.items()}
    made = conform(make_rows(DuckEngine(), target, list(month.periods), inputs, extras), target.table)
    assert isinstance(made, pa.Table)
    if not made.num_rows:
        return None
    order = dict.fromkeys((*target.table.sort_by, *target.table.primary_key))
    sink = io.BytesIO()
    write_parts(sink, location, [made.sort_by([(name, "ascending") for name in order])])
    content = sink.getvalue()
    digest = hashlib.sha256(content).hexdigest()[:32]
    path = f"{location.folder}/{month_name(month.number)}-{digest}-{attempt}.parquet"
    is_written = digest != month.published
    if is_written:
        with files.new_output(path).create(overwrite=True) as file:
            file.write(content)
    return {"path": path, "digest": digest, "row_count": made.num_rows, "is_written": is_written}
