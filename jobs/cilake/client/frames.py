"""Rows as pandas frames whose columns can be compared, resampled and counted, also when there are no rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

DAY = pa.timestamp("s")
"""What a date becomes: pandas has no dates, and seconds hold every year from 1 to 9999."""
INSTANT = pa.timestamp("us", tz="UTC")

# Arrow gives an empty column of text another type than a full one: this is the one that pandas infers.
_INFERRED = pd.Series([""]).dtype
_TEXT: dict[pa.DataType, Any] = (
    {pa.string(): _INFERRED, pa.large_string(): _INFERRED} if isinstance(_INFERRED, pd.StringDtype) else {}
)
# Floats would falsify 64-bit keys and counts: a column that may hold nulls gets a type that can.
_NULLABLE: dict[pa.DataType, Any] = _TEXT | {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
_TRINO_TYPES: dict[str, pa.DataType] = {
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double": pa.float64(),
    "decimal": pa.float64(),
    "boolean": pa.bool_(),
    "varchar": pa.string(),
    "char": pa.string(),
    "varbinary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp with time zone": INSTANT,
}
_PARAMETERS = re.compile(r"\(.*?\)")


def table_frame(rows: pa.Table) -> pd.DataFrame:
    """Return the rows of a table; what may be null has a type that holds nulls, also when there are none."""
    columns = {
        name: _series(column, nullable=rows.schema.field(name).nullable)
        for name, column in zip(rows.column_names, rows.columns, strict=True)
    }
    return pd.DataFrame(columns, copy=False)


def answer_frame(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """Return a result of Trino, typed by the types that Trino names; decimals become floats.

    Every column may hold nulls. Structures, times of day and intervals stay Python objects.
    """
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    series = {
        position: _answer_series(kind, column)
        for position, ((_, kind), column) in enumerate(zip(columns, values, strict=True))
    }
    frame = pd.DataFrame(series, copy=False)
    frame.columns = pd.Index([name for name, _ in columns])  # names may repeat in a result
    return frame


def _series(column: pa.ChunkedArray, *, nullable: bool) -> pd.Series:
    if pa.types.is_date(column.type):
        column = column.cast(DAY)
    types = _NULLABLE if nullable else _TEXT
    series: pd.Series = column.to_pandas(types_mapper=types.get)
    return series


def _answer_series(kind: str, values: Sequence[Any]) -> pd.Series:
    base = _PARAMETERS.sub("", kind)
    type_ = _TRINO_TYPES.get(base)
    if type_ is None:
        return pd.Series(list(values), dtype=object)
    if base == "decimal":
        values = [None if value is None else float(value) for value in values]
    return _series(pa.chunked_array([pa.array(values, type_)]), nullable=True)
