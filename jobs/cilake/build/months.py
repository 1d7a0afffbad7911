"""Large tables that are kept by months: workers of Spark make months whole, each as one file.

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
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cilake.build.made import Extras, make_rows
from cilake.build.targets import Target
from cilake.contracts.model import Table
from cilake.lake.data_files import Storage, TableLocation, location_of, month_name, month_of, write_parts
from cilake.lake.files import Plan, Scan, open_scan, plan_days
from cilake.lake.schema import conform
from cilake.lake.snapshots import Pins
from cilake.log import logger
from cilake.publish.months import MonthFile, Months, published_months
from cilake.settings import Settings
from cilake.transforms.engines import DuckEngine

MONTH_ROWS = 8_000_000
"""So many rows may lie in the files from which a worker makes a month."""
GROUP_ROWS = 4_000_000
"""So many rows may lie in those from which it makes several."""
GROUPS = 6
"""In at least so many groups months are made, where there are as many: a machine has several processors."""


@dataclass(frozen=True, slots=True)
class Group:
    """Months of a table that one worker makes: what looks back reads the month before once for all.

    ``periods`` are those of each month, ``inputs`` where the rows of its inputs are. ``published`` is the
    digest of the file of a month, empty where there are none or several.
    """

    target: Target
    location: TableLocation
    periods: Mapping[int, tuple[date, ...]]
    inputs: Mapping[str, Scan]
    published: Mapping[int, str]

    @property
    def all_periods(self) -> list[date]:
        """The periods of all its months."""
        return _all_of(self.periods)

    @property
    def row_count(self) -> int:
        """How many rows lie in the files of its inputs."""
        return sum(scan.row_count for scan in self.inputs.values())


def plan_months(catalog: Catalog, pins: Pins, target: Target, periods: Iterable[date]) -> list[Group] | None:
    """Return the months of periods, each whole, in groups; ``None`` where one is too large for a worker.

    Also for a table that is kept otherwise, or that models share.
    """
    table = target.table
    if target.where != "true" or table.partition_by != (f"months({target.rule.column})",):
        return None
    own = catalog.load_table(table.address)
    if len(own.specs()) > 1:  # older files may be partitioned otherwise
        return None
    whole = {
        number: tuple(one for one in target.rule.affected_by(_days_of(number)) if month_of(one) == number)
        for number in sorted({month_of(period) for period in periods})
    }
    plans = {}
    for argument, one in target.inputs.items():
        present, pinned = catalog.load_table(one.address), pins.snapshots.get(one.address)
        reach = target.rule.reach_of(_all_of(whole), one.address)
        if (plan := plan_days(present, one.day_column, reach, snapshot=pinned)) is None:
            return None
        plans[argument] = plan
    sizes = {number: _count_rows(target, plans, {number: whole[number]}) for number in whole}
    if max(sizes.values()) > MONTH_ROWS:
        return None
    limit = min(GROUP_ROWS, sum(sizes.values()) // GROUPS)
    groups: list[dict[int, tuple[date, ...]]] = []
    for number, of_month in whole.items():
        together = (groups[-1] if groups else {}) | {number: of_month}
        if groups and _count_rows(target, plans, together) <= limit:
            groups[-1] = together
        else:
            groups.append({number: of_month})
    location, published = location_of(own, table), published_months(own)
    digests = {number: files[0].digest for number, files in published.items() if len(files) == 1}
    return [
        Group(
            target,
            location,
            group,
            {
                name: plan.scan(target.rule.reach_of(_all_of(group), target.inputs[name].address))
                for name, plan in plans.items()
            },
            {number: digests.get(number, "") for number in group},
        )
        for group in groups
    ]


def make_months(
    spark: SparkSession, settings: Settings, groups: Sequence[Group], extras: Extras
) -> dict[Table, Months]:
    """Make months of tables in workers; return the file of each, ``None`` for one without rows.

    Raises:
        MemoryError: when a month is too large for a worker.

    """
    count = len(groups)
    for table, of_table in _by_table(groups).items():
        logger.info(f"{table.address}: making {sum(len(one.periods) for one in of_table):,} months")
    # What takes longest comes first, so that all workers end together.
    ordered = tuple(sorted(groups, key=lambda group: group.row_count, reverse=True))
    work = partial(_work, ordered, Storage.of(settings), dict(extras), token_hex(8))
    made = spark.range(0, count, 1, count).mapInArrow(work, "made string").toArrow()
    files: dict[Table, dict[int, MonthFile | None]] = {table: {} for table in _by_table(groups)}
    for index, of_group, error in map(json.loads, made["made"].to_pylist()):
        if error:
            raise MemoryError(error)
        for number, file in of_group:
            files[ordered[index].target.table][number] = MonthFile(**file) if file else None
    return dict(files)


def _by_table(groups: Iterable[Group]) -> dict[Table, list[Group]]:
    found: dict[Table, list[Group]] = {}
    for group in groups:
        found.setdefault(group.target.table, []).append(group)
    return found


def _days_of(month: int) -> list[date]:
    first, after = (date(1970 + one // 12, one % 12 + 1, 1) for one in (month, month + 1))
    return [first + timedelta(days=offset) for offset in range((after - first).days)]


def _all_of(periods: Mapping[int, Sequence[date]]) -> list[date]:
    return [period for of_month in periods.values() for period in of_month]


def _count_rows(target: Target, plans: Mapping[str, Plan], periods: Mapping[int, Sequence[date]]) -> int:
    """Return how many rows lie in the files from which months are made."""
    return sum(
        file.row_count
        for name, plan in plans.items()
        for file in plan.of_days(target.rule.reach_of(_all_of(periods), target.inputs[name].address))
    )


def _work(
    groups: Sequence[Group],
    storage: Storage,
    extras: Extras,
    attempt: str,
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for index in batch["id"].to_pylist():
            made: list[tuple[int, dict[str, Any] | None]] = []
            error = ""
            try:
                made = list(make_group(groups[index], storage, extras, attempt))
            except MemoryError as exceeded:
                error = str(exceeded) or "too little memory"
            yield pa.RecordBatch.from_pydict({"made": [json.dumps([index, made, error])]})


def make_group(
    group: Group, storage: Storage, extras: Extras, attempt: str
) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Make months and write their files, unless they are published; yield the number and file of each."""
    files, table = storage.open(), group.target.table
    inputs = {name: open_scan(files, scan) for name, scan in group.inputs.items()}
    made = conform(make_rows(DuckEngine(), group.target, group.all_periods, inputs, extras), table)
    assert isinstance(made, pa.Table)
    order = [(name, "ascending") for name in dict.fromkeys((*table.sort_by, *table.primary_key))]
    column = made[group.target.rule.column]
    for number, periods in group.periods.items():
        rows = (
            made.filter(pc.is_in(column, pa.array(periods, column.type))) if len(group.periods) > 1 else made
        )
        yield number, _write_month(files, group, number, rows.sort_by(order), attempt)


def _write_month(
    files: Any, group: Group, number: int, rows: pa.Table, attempt: str
) -> dict[str, Any] | None:
    """Write the file of a month, unless it is published; return what it is, ``None`` without rows."""
    if not rows.num_rows:
        return None
    sink = io.BytesIO()
    write_parts(sink, group.location, [rows])
    content = sink.getvalue()
    digest = hashlib.sha256(content).hexdigest()[:32]
    path = f"{group.location.folder}/{month_name(number)}-{digest}-{attempt}.parquet"
    is_written = digest != group.published[number]
    if is_written:
        with files.new_output(path).create(overwrite=True) as file:
            file.write(content)
    return {"path": path, "digest": digest, "row_count": rows.num_rows, "is_written": is_written}
