"""Replacing the rows of days, only where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date
from threading import Event

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.contracts.model import Table
from cilake.lake.catalog import set_properties
from cilake.lake.data_files import month_of
from cilake.lake.schema import checksum, conform
from cilake.lake.session import interrupt
from cilake.lake.snapshots import snapshot_id
from cilake.log import logger
from cilake.publish.audit import preload_great_expectations
from cilake.publish.branch import Branch, Note, PublishError, open_branch, write_audit_publish
from cilake.publish.few import are_same, arrange, in_spark, of_days, read_few, split_by_day, take_few
from cilake.publish.months import Months, differing_months
from cilake.windows import spans_of

INTERRUPT_SECONDS = 1
"""How long after an interruption the next follows: a thread may have been between two statements."""
FEW_DAYS = 50
"""The rows of more days than these are not tried here: to see that they are too many costs all their work."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Everything a table should hold for the days, by the date in ``column``.

    ``where`` is an SQL condition that all of ``rows`` meet: other rows of the table are left as they are,
    even on the same days. ``rows`` may be files, one for each month: then all of the table's rows in these
    months are replaced. ``properties`` are set on the table in the commit that publishes the rows, also
    when no row differs.
    """

    table: Table
    rows: DataFrame | pa.Table | Months
    column: str
    days: list[date]
    where: str = "true"
    properties: Mapping[str, str] = field(default_factory=dict)


def replace_days(
    spark: SparkSession,
    catalog: Catalog,
    replacements: list[Replacement],
    *,
    audit: Callable[[Branch], None],
    run_id: str,
    note: Note | None = None,
) -> dict[str, int]:
    """Write the rows of the days that differ in place of the table's; return how many were written to each.

    The tables must not depend on each other: they are compared and written in parallel, as each is
    small and mostly waits. ``note`` is as in ``write_audit_publish``. When interrupted, it ends them all:
    what is not being published yet never is.

    Raises:
        TypeError: for a table that is not written by periods, as its contract says.

    """
    for replacement in replacements:
        if replacement.table.write_mode != "replace_partition":
            raise TypeError(f"{replacement.table.address} is not written by periods: see its write_mode")
    ending = Event()

    def replace(replacement: Replacement) -> int:
        count = _replace(spark, catalog, replacement, audit, run_id, note, ending)
        address = replacement.table.address
        logger.info(f"{address}: wrote {count:,} rows" if count else f"{address}: unchanged")
        return count

    counts: list[Future[int]] = []
    with ThreadPoolExecutor(len(replacements)) as parallel:
        try:
            counts += (parallel.submit(replace, replacement) for replacement in replacements)
            done = [count.result() for count in counts]
        except (SystemExit, KeyboardInterrupt):
            ending.set()
            _interrupt_until_done(spark, counts)
            raise
    return {replacement.table.address: count for replacement, count in zip(replacements, done, strict=True)}


def _interrupt_until_done(spark: SparkSession, under_way: list[Future[int]]) -> None:
    interrupt(spark)
    while wait(under_way, INTERRUPT_SECONDS).not_done:
        interrupt(spark)


def _replace(
    spark: SparkSession,
    catalog: Catalog,
    replacement: Replacement,
    audit: Callable[[Branch], None],
    run_id: str,
    note: Note | None,
    ending: Event,
) -> int:
    table, rows = replacement.table, replacement.rows
    kept = None
    try:
        if isinstance(rows, Mapping):
            change = _find_change_of_months(catalog, replacement, rows)
        elif (here := _find_change_here(catalog, replacement, rows := conform(rows, table))) is not None:
            change = here
        else:
            kept = in_spark(spark, rows, table).persist()
            change = _find_change_in_spark(spark, replacement, kept)
        if not change.days:
            set_properties(catalog, table, replacement.properties)
            return 0
        preload_great_expectations()

        def require_going_on(branches: Mapping[str, Branch]) -> None:
            if ending.is_set():
                raise PublishError(f"{table.address} was not published: the command was interrupted")

        write_audit_publish(
            [open_branch(spark, catalog, table, run_id)],
            change.write,
            audit,
            reconcile=require_going_on,
            properties={table.address: replacement.properties},
            note=note,
        )
        return change.row_count
    finally:
        if kept is not None:
            kept.unpersist()


@dataclass(frozen=True, slots=True)
class _Change:
    """Days whose rows differ from the published, how many rows they get, and what writes these."""

    days: list[date]
    row_count: int
    write: Callable[[Branch], None]


def _find_change_here(
    catalog: Catalog, replacement: Replacement, rows: DataFrame | pa.Table
) -> _Change | None:
    """Return the change where few rows are published and wanted; ``None`` where one is for Spark."""
    table, column = replacement.table, replacement.column
    if not isinstance(rows, pa.Table) and len(replacement.days) > FEW_DAYS:
        return None
    scope = of_days(column, replacement.days, replacement.where)
    if read_few(catalog, table, scope) is None or (few := take_few(rows, table)) is None:
        return None
    # Others may have written meanwhile: what differs is found, and must begin, with what is there now.
    looked_at = snapshot_id(catalog, table)
    if (present := read_few(catalog, table, scope)) is None:
        return None
    wanted, found = (split_by_day(held, table, column) for held in (few, present))
    none = few.slice(0, 0)
    days = [day for day in replacement.days if not are_same(wanted.get(day, none), found.get(day, none))]
    differing = pa.concat_tables([wanted[day] for day in days if day in wanted] or [none])

    def write(branch: Branch) -> None:
        branch.require_base(looked_at)
        if outdated := [day for day in days if day in found]:
            branch.delete(of_days(column, outdated, replacement.where))
        if differing.num_rows:
            branch.append(arrange(differing, table))

    return _Change(days, differing.num_rows, write)


def _find_change_of_months(catalog: Catalog, replacement: Replacement, months: Months) -> _Change:
    looked_at = snapshot_id(catalog, replacement.table)
    differing = differing_months(catalog.load_table(replacement.table.address), months)
    made = [file for number in differing if (file := months[number])]

    def write(branch: Branch) -> None:
        branch.require_base(looked_at)
        if outdated := [file for files in differing.values() for file in files]:
            branch.remove(outdated)
        if made:
            branch.append(tuple(file.path for file in made))

    days = [day for day in replacement.days if month_of(day) in differing]
    return _Change(days, sum(file.row_count for file in made), write)


def _find_change_in_spark(spark: SparkSession, replacement: Replacement, rows: DataFrame) -> _Change:
    table, column = replacement.table, replacement.column
    present = spark.table(table.identifier).where(_scope(replacement, replacement.days))
    wanted, found = _fingerprints(rows, table, column), _fingerprints(present, table, column)
    days = [day for day in replacement.days if wanted.get(day) != found.get(day)]
    scope = _scope(replacement, days)

    def write(branch: Branch) -> None:
        branch.delete(scope)
        # People wait for these tables: one sorted file a partition is read fastest.
        branch.append(
            rows.where(scope).coalesce(1).sortWithinPartitions(*(table.sort_by or table.primary_key))
        )

    return _Change(days, sum(wanted[day][0] for day in days if day in wanted), write)


def _scope(replacement: Replacement, days: list[date]) -> str:
    return f"{days_condition(replacement.column, days)} AND ({replacement.where})"


def _fingerprints(rows: DataFrame, table: Table, column: str) -> dict[date, tuple[int, int]]:
    """Return the number of rows of each day and a checksum of their contents, whatever their order."""
    by_day = rows.groupBy(column).agg(F.count("*"), F.sum(checksum(table)))
    return {day: (count, total) for day, count, total in by_day.collect()}


def spans_condition(column: str, days: Iterable[date]) -> str:
    """Return the SQL condition that ``column`` is one of many days, as spans of days without a gap."""
    between = (f"{column} BETWEEN DATE '{first}' AND DATE '{last}'" for first, last in spans_of(days))
    return f"({' OR '.join(between) or 'false'})"


def days_condition(column: str, days: list[date]) -> str:
    """Return the SQL condition that ``column`` is one of ``days``."""
    return f"{column} IN ({', '.join(f'DATE {day.isoformat()!r}' for day in sorted(days))})"
