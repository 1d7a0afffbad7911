"""Replacing the rows of a scope, only when they differ."""

from __future__ import annotations

from datetime import date

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession

from cilake.apps.audit import auditor
from cilake.contracts.model import Table
from cilake.lake.publish import Branch, open_branch, write_audit_publish
from cilake.lake.schema import conform
from cilake.settings import Settings


def replace_rows(
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    table: Table,
    rows: DataFrame,
    *,
    scope: str,
    run_id: str,
    day: date,
) -> int:
    """How many rows were written: all of ``rows`` in place of the scope's, or none when they are the same.

    ``scope`` is an SQL condition that every given row meets.
    """
    rows = conform(rows, table).persist()
    count = rows.count()
    try:
        present = spark.table(table.identifier).where(scope)
        if not rows.exceptAll(present).head(1) and not present.exceptAll(rows).head(1):
            return 0

        def write(branch: Branch) -> None:
            branch.delete(scope)
            branch.append(rows)

        audit = auditor(settings, catalog, lambda b: b.read().where(scope), validation_id=run_id, day=day)
        write_audit_publish([open_branch(spark, table, run_id)], write, audit)
        return count
    finally:
        rows.unpersist()


def days_condition(column: str, days: list[date]) -> str:
    """The SQL condition that ``column`` is one of ``days``."""
    return f"{column} IN ({', '.join(f'DATE {day.isoformat()!r}' for day in sorted(days))})"
