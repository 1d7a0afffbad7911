"""Rows and frames for tests: a test names only the columns it is about, the contract supplies the rest."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cilake.contracts import registry
from cilake.contracts.model import Column, Table
from cilake.lake.catalog import arrow_schema

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Row = dict[str, Any]


def make_row(table: Table | str, **overrides: Any) -> Row:
    """A valid row of the table from its contract's examples, with the given columns replaced.

    ISO texts given for dates and timestamps become dates and UTC instants.
    """
    contract = registry.table(table) if isinstance(table, str) else table
    if unknown := sorted(set(overrides) - set(contract.column_names)):
        raise KeyError(f"{contract.address} has no columns {unknown}")
    return {
        column.name: _typed(column, overrides.get(column.name, column.example))
        if column.name in overrides or not _is_left_out(column)
        else None
        for column in contract.columns
    }


def make_rows(table: Table | str, rows: list[Row]) -> pa.Table:
    """Rows with the table's columns and types, all nullable so that bad rows can be made too."""
    contract = registry.table(table) if isinstance(table, str) else table
    schema = pa.schema([field.with_nullable(True) for field in arrow_schema(contract)])
    return pa.Table.from_pylist(rows, schema=schema)


def make_frame(spark: SparkSession, table: Table | str, rows: list[Row]) -> DataFrame:
    """A frame of such rows."""
    # Through Arrow the rows become a local relation; plain rows would need Python workers in every query.
    return spark.createDataFrame(make_rows(table, rows))


def _is_left_out(column: Column) -> bool:
    # An optional closed value such as an abstain reason changes what the row means: only on request.
    return column.nullable and column.name.endswith("_reason")


def _typed(column: Column, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if column.type == "timestamp":
        return datetime.fromisoformat(value).astimezone(UTC)
    return date.fromisoformat(value) if column.type == "date" else value
