"""Inputs and rows of transforms, on either engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from tests.support.builders import Row, make_rows

from cilake.contracts.model import Table
from cilake.lake.catalog import arrow_schema


def make_input(engine: Any, table: Table, rows: list[Row]) -> Any:
    """Rows of a table as the engine takes them."""
    return engine.from_arrow(make_rows(table, rows))


def rows_of(engine: Any, rows: Any) -> list[SimpleNamespace]:
    """Rows of an engine, in any order."""
    return [SimpleNamespace(**row) for row in engine.to_arrow(rows).to_pylist()]


def take(made: Any, table: Table) -> list[SimpleNamespace]:
    """What a transform made: the columns of the table, of its types, in the order of its key."""
    held: pa.Table = made.toArrow() if isinstance(made, DataFrame) else made
    rows = held.select(table.column_names).cast(arrow_schema(table))
    ordered = rows.sort_by([(name, "ascending") for name in table.primary_key])
    return [SimpleNamespace(**row) for row in ordered.to_pylist()]
