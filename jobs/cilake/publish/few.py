"""Few rows come here: compared, written and judged without Spark, whose statements each take their time.

What is more is left to Spark, so that memory is bounded whatever a night brings.
"""

from __future__ import annotations

from collections import Counter
from datetime import date

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And, BooleanExpression
from pyiceberg.expressions.parser import parse
from pyspark.sql import DataFrame, SparkSession

from cilake.contracts.model import Table
from cilake.lake.catalog import arrow_schema
from cilake.lake.schema import conform
from cilake.transforms.engines import SparkEngine

FEW_ROWS = 200_000
"""So many rows of one table are brought here at most."""
FEW_VALUES = 5_000_000
"""So many values, with those in lists, are brought here to be judged: about half a gigabyte."""
READ_ROWS = 2_000_000
"""So many rows may lie in the files that are read, or written again, for those few."""


def is_few(row_count: int) -> bool:
    """Return whether so many rows of a table are brought here."""
    return row_count <= FEW_ROWS


def take_few(rows: DataFrame | pa.Table, table: Table) -> pa.Table | None:
    """Return all rows, which have the columns of a table; ``None`` where they are too many."""
    few = rows if isinstance(rows, pa.Table) else rows.limit(FEW_ROWS + 1).toArrow()
    return few.select(table.column_names).cast(arrow_schema(table)) if is_few(few.num_rows) else None


def as_frame(spark: SparkSession, rows: DataFrame | pa.Table) -> DataFrame:
    """Return rows, wherever they are, as a dataframe."""
    return SparkEngine(spark).from_arrow(rows) if isinstance(rows, pa.Table) else rows


def in_spark(spark: SparkSession, rows: DataFrame | pa.Table, table: Table) -> DataFrame:
    """Return rows, wherever they are, as a dataframe with exactly the columns of a table."""
    return conform(as_frame(spark, rows), table)


def read_few(catalog: Catalog, table: Table, where: BooleanExpression) -> pa.Table | None:
    """Return the published rows that meet a condition; ``None`` where they are, or their files, too many."""
    if not are_in_few(catalog, table, where):
        return None
    few = catalog.load_table(table.address).scan(row_filter=where, limit=FEW_ROWS + 1).to_arrow()
    return few.select(table.column_names).cast(arrow_schema(table)) if is_few(few.num_rows) else None


def are_in_few(catalog: Catalog, table: Table, where: BooleanExpression) -> bool:
    """Return whether the files that may hold such rows have few enough to be read, or written again, here."""
    files = catalog.load_table(table.address).scan(row_filter=where).plan_files()
    return sum(task.file.record_count for task in files) <= READ_ROWS


def of_days(column: str, days: list[date], where: str) -> BooleanExpression:
    """Return the condition that ``column`` is one of the days and an SQL condition is met."""
    listed = ", ".join(f"'{day.isoformat()}'" for day in days)
    return And(parse(f"{column} IN ({listed})"), parse(where))


def split_by_day(rows: pa.Table, table: Table, column: str) -> dict[date, pa.Table]:
    """Return the rows of each day, sorted by the key: of equal rows, the same table."""
    ordered = rows.sort_by([(name, "ascending") for name in dict.fromkeys((column, *table.primary_key))])
    days: dict[date, pa.Table] = {}
    start = 0
    for day, count in Counter(ordered[column].to_pylist()).items():
        days[day] = ordered.slice(start, count)
        start += count
    return days


def are_same(rows: pa.Table, others: pa.Table) -> bool:
    """Return whether two tables hold the same rows in the same order; NaN is the same as NaN."""
    return rows.num_rows == others.num_rows and all(
        _are_same(one, other) for one, other in zip(rows.columns, others.columns, strict=True)
    )


def _are_same(values: pa.ChunkedArray, others: pa.ChunkedArray) -> bool:
    if not pa.types.is_floating(values.type):
        return bool(values.equals(others))
    numbers = (values.to_numpy(), others.to_numpy())
    return bool(values.is_null().equals(others.is_null())) and np.array_equal(*numbers, equal_nan=True)


def arrange(rows: pa.Table, table: Table) -> pa.Table:
    """Return the rows in the order in which the table is read fastest."""
    return rows.sort_by([(name, "ascending") for name in (table.sort_by or table.primary_key)])
