"""The inputs of a table that is built: read here where they are few, else in Spark."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pyarrow as pa
from pyarrow.dataset import Dataset
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession

from cilake.build.targets import Target
from cilake.contracts.model import Table
from cilake.lake.files import open_days
from cilake.lake.snapshots import Pins
from cilake.publish.replace import spans_condition

QUERIED_ROWS = 3_000_000
"""So many rows may lie in the files of inputs that are queried here; only the columns needed are read."""


def open_here(
    catalog: Catalog, pins: Pins, target: Target, periods: list[date]
) -> dict[str, pa.Table | Dataset] | None:
    """Return the inputs of a target's periods by argument; ``None`` where they are too many."""
    left = QUERIED_ROWS
    inputs = {}
    for argument, table in target.inputs.items():
        opened = open_days(
            catalog.load_table(table.address),
            table.day_column,
            target.rule.reach_of(periods, table.address),
            snapshot=pins.snapshots.get(table.address),
            limit=left,
        )
        if opened is None:
            return None
        inputs[argument], held = opened
        left -= held
    return inputs


def read_in_spark(spark: SparkSession, pins: Pins, target: Target, periods: list[date]) -> dict[str, DataFrame]:
    """Return the inputs of a target's periods by argument."""
    return {
        argument: _read(spark, pins, table, target.rule.reach_of(periods, table.address))
        for argument, table in target.inputs.items()
    }


def _read(spark: SparkSession, pins: Pins, table: Table, days: Iterable[date]) -> DataFrame:
    """Return a table as it is pinned, of these days where its rows have a day."""
    rows = pins.read(spark, table) if table.address in pins.snapshots else spark.table(table.identifier)
    return rows.where(spans_condition(table.day_column, days)) if table.day_column else rows
