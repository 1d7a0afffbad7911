"""Rows of tables as inputs of queries: read in this process where they are few, else in Spark."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession

from cilake.contracts.model import Table
from cilake.lake.files import open_days
from cilake.lake.snapshots import Pins
from cilake.publish.replace import spans_condition
from cilake.transforms.engines import DuckEngine, Engine, SparkEngine

QUERIED_ROWS = 3_000_000
"""So many rows may lie in the files of inputs that are queried here; only the columns needed are read."""

Wanted = Mapping[str, tuple[Table, Collection[date] | None]]
"""Tables by the name that a query calls them, each with the days of its rows; ``None``: all of them."""


def open_inputs(
    spark: SparkSession, catalog: Catalog, pins: Pins, wanted: Wanted, *, limit: int | None = None
) -> tuple[Engine[Any], dict[str, Any]]:
    """Return rows of tables by name, as they are pinned, and the engine that they are for.

    A table whose rows have no day is there whole. More rows than ``limit`` go to Spark.
    """
    here: dict[str, Any] = {}
    left = QUERIED_ROWS if limit is None else limit
    for name, (table, days) in wanted.items():
        pinned = pins.snapshots.get(table.address)
        opened = open_days(
            catalog.load_table(table.address), table.day_column, days, snapshot=pinned, limit=left
        )
        if opened is None:
            in_spark = {name: _read(spark, pins, table, days) for name, (table, days) in wanted.items()}
            return SparkEngine(spark), in_spark
        here[name], held = opened
        left -= held
    return DuckEngine(), here


def _read(spark: SparkSession, pins: Pins, table: Table, days: Collection[date] | None) -> DataFrame:
    rows = pins.read(spark, table) if table.address in pins.snapshots else spark.table(table.identifier)
    if table.day_column and days is not None:
        return rows.where(spans_condition(table.day_column, days))
    return rows
