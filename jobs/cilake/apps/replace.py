"""Replacing the rows of days, only where they differ."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.apps.audit import auditor
from cilake.contracts.model import Table
from cilake.lake.catalog import open_catalog
from cilake.lake.publish import Branch, open_branch, write_audit_publish
from cilake.lake.schema import conform
from cilake.settings import Settings


def replace_days(
    spark: SparkSession,
    settings: Settings,
    table: Table,
    rows: DataFrame,
    *,
    column: str,
    days: list[date],
    run_id: str,
    day: date,
) -> int:
    """How many rows were written: those of the days that differ from the table's, in place of the table's.

    ``rows`` is everything the table should hold for ``days``, by the date in ``column``.
    """
    rows = conform(rows, table).persist()
    try:
        present = spark.table(table.identifier).where(days_condition(column, days))
        wanted, found = _fingerprints(rows, table, column), _fingerprints(present, table, column)
        changed = [day for day in days if wanted.get(day) != found.get(day)]
        if not changed:
            return 0
        scope = days_condition(column, changed)

        def write(branch: Branch) -> None:
            branch.delete(scope)
            # These tables are small, and people wait for them: one sorted file a partition is read fastest.
            branch.append(
                rows.where(scope).coalesce(1).sortWithinPartitions(*(table.sort_by or table.primary_key))
            )

        audit = auditor(settings, open_catalog(settings), validation_id=run_id, day=day)
        write_audit_publish([open_branch(spark, table, run_id)], write, audit)
        return spark.table(table.identifier).where(scope).count()
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
