"""Replacing the rows of days, only where they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.apps.audit import prepare_audit
from cilake.apps.progress import say
from cilake.contracts.model import Table
from cilake.lake.catalog import set_properties
from cilake.lake.publish import Branch, open_branch, write_audit_publish
from cilake.lake.schema import conform


@dataclass(frozen=True, slots=True)
class Replacement:
    """Everything a table should hold for the days, by the date in ``column``."""

    table: Table
    rows: DataFrame
    column: str
    days: list[date]


def replace_days(
    spark: SparkSession,
    catalog: Catalog,
    replacements: list[Replacement],
    *,
    audit: Callable[[Branch], None],
    run_id: str,
    properties: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Put the rows of the days that differ in place of the tables' own; return how many, by address.

    ``properties`` are set on every table: in the commit that publishes it, or alone when nothing differs.

    The tables must not depend on each other: they are compared and written beside each other, as each is
    small and mostly waits.
    """

    def replace(replacement: Replacement) -> int:
        count = _replace(spark, catalog, replacement, audit, run_id, properties or {})
        address = replacement.table.address
        say(f"{count:,} rows of {address} written" if count else f"{address} is as it should be")
        return count

    with ThreadPoolExecutor(len(replacements)) as beside:
        counts = list(beside.map(replace, replacements))
    return {replacement.table.address: count for replacement, count in zip(replacements, counts, strict=True)}


def _replace(
    spark: SparkSession,
    catalog: Catalog,
    replacement: Replacement,
    audit: Callable[[Branch], None],
    run_id: str,
    properties: Mapping[str, str],
) -> int:
    table, column = replacement.table, replacement.column
    rows = conform(replacement.rows, table).persist()
    try:
        present = spark.table(table.identifier).where(days_condition(column, replacement.days))
        wanted, found = _fingerprints(rows, table, column), _fingerprints(present, table, column)
        changed = [day for day in replacement.days if wanted.get(day) != found.get(day)]
        if not changed:
            if properties:
                set_properties(catalog, table, properties)
            return 0
        prepare_audit()
        scope = days_condition(column, changed)

        def write(branch: Branch) -> None:
            branch.delete(scope)
            # These tables are small, and people wait for them: one sorted file a partition is read fastest.
            branch.append(
                rows.where(scope).coalesce(1).sortWithinPartitions(*(table.sort_by or table.primary_key))
            )

        branches = [open_branch(spark, catalog, table, run_id)]
        write_audit_publish(branches, write, audit, properties={table.address: properties})
        return sum(wanted[day][0] for day in changed if day in wanted)
    finally:
        rows.unpersist()


def _fingerprints(rows: DataFrame, table: Table, column: str) -> dict[date, tuple[int, int]]:
    """The number of rows of each day and a checksum of their contents, whatever their order."""
    # Hashing skips nulls, so which values are null is hashed too.
    nulls = [F.col(c.name).isNull() for c in table.columns if c.nullable]
    checksum = F.xxhash64(*table.column_names, *nulls).cast("decimal(38,0)")
    by_day = rows.groupBy(column).agg(F.count("*"), F.sum(checksum))
    return {day: (count, total) for day, count, total in by_day.collect()}


def days_condition(column: str, days: list[date]) -> str:
    """The SQL condition that ``column`` is one of ``days``."""
    return f"{column} IN ({', '.join(f'DATE {day.isoformat()!r}' for day in sorted(days))})"


def weeks_condition(column: str, weeks: list[date], *, lookback: timedelta = timedelta()) -> str:
    """Return the SQL condition that ``column`` is in one of the weeks, or at most ``lookback`` before one.

    Weeks that follow each other make one span, so that one run corrected after a year asks for two.
    """
    spans: list[tuple[date, date]] = []
    for monday in sorted(weeks):
        first, last = monday - lookback, monday + timedelta(days=6)
        if spans and first <= spans[-1][1] + timedelta(days=1):
            spans[-1] = spans[-1][0], last
        else:
            spans.append((first, last))
    return " OR ".join(f"{column} BETWEEN DATE '{first}' AND DATE '{last}'" for first, last in spans)
