"""A small batch outside Spark: a frame of pandas for Great Expectations, and DuckDB for its rules in SQL.

A statement of Spark takes a tenth of a second whatever it reads, and a suite needs several of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cilake.quality import row_rules

if TYPE_CHECKING:
    import pandas as pd

_OPENED: ContextVar[duckdb.DuckDBPyConnection] = ContextVar("batch")


@contextmanager
def opened(rows: pa.Table) -> Iterator[pd.DataFrame]:
    """Yield the rows as a frame; while it is open, ``select`` reads them by the name ``batch``."""
    ranked = _rank_nan(rows)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("batch", ranked)
        token = _OPENED.set(connection)
        try:
            yield ranked.to_pandas(date_as_object=False)
        finally:
            _OPENED.reset(token)


def select(query: str) -> list[dict[str, Any]]:
    """Return the rows that a query over ``batch`` selects from the batch that is open."""
    found: list[dict[str, Any]] = _OPENED.get().sql(query).to_arrow_table().to_pylist()
    return found


def hold(condition: str) -> Any:
    """Return whether a condition holds in each row, in order: an array; also true where it is unknown."""
    verdicts = _OPENED.get().sql(f"SELECT coalesce(({condition}), true) AS holds FROM batch")  # noqa: S608 - rules are ours
    return verdicts.to_arrow_table()["holds"].to_numpy()


def find_examples(rows: pa.Table, rule: dict[str, Any], names: list[str], limit: int) -> list[dict[str, Any]]:
    """Return columns of the first rows that break a rule; empty for a rule that is not about single rows."""
    condition = row_rules.condition(rule["type"], rule["kwargs"])
    if condition is None:
        return []
    is_whole = hold(condition)
    found: list[dict[str, Any]] = rows.select(names).take(np.flatnonzero(~is_whole)[:limit]).to_pylist()
    return found


def _rank_nan(rows: pa.Table) -> pa.Table:
    """Return the rows with infinity for NaN: Spark ranks both last, and pandas takes NaN for null."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            values = rows.column(index)
            ranked = pc.if_else(pc.is_nan(values), pa.scalar(float("inf"), field.type), values)
            rows = rows.set_column(index, field, ranked)
    return rows
