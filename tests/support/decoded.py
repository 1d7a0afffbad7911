"""Decoded runs for transform tests, as the collector's decoder makes them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import reduce
from typing import Any

import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from tests.support.grids import dump

from cilake.sources.decoder import DECODED
from cilake.sources.testgrid.decode import payload_decoder


def decode(spark: Any, *tables: dict[str, Any], served_hour: int = 0, landed: str = "2021-06-25") -> Any:
    """The dataframe of the tables' runs, served at an hour of 2021-06-25 and landed on a day."""
    at = datetime(2021, 6, 25, served_hour, tzinfo=UTC)
    batch = pa.RecordBatch.from_pydict(
        {
            "payload": [dump(table) for table in tables],
            "served_at": pa.array([at] * len(tables), pa.timestamp("us", tz="UTC")),
            "partition_date": [date.fromisoformat(landed)] * len(tables),
            "origin": [f"{landed}|{served_hour}|{i}" for i in range(len(tables))],
            "natural_id": [f"dashboard/tab-{i}" for i in range(len(tables))],
        }
    )
    runs = pa.Table.from_batches(list(payload_decoder()(iter([batch]))), schema=DECODED)
    decoded = spark.createDataFrame(runs.to_pylist(), from_arrow_schema(DECODED))
    return decoded.withColumns({"source": F.lit("testgrid"), "endpoint": F.lit("table")})


def observe(spark: Any, *tables: dict[str, Any]) -> Any:
    """Return observations of the tables' runs: one tab, served an hour after each other."""
    from cilake.transforms.core.ci_run_observations import transform

    frames = [decode(spark, table, served_hour=hour) for hour, table in enumerate(tables)]
    decoded = reduce(lambda one, other: one.unionByName(other), frames)
    return transform(decoded.withColumn("natural_id", F.lit("board/tab")))


def rows_of(frame: Any) -> list[tuple[Any, ...]]:
    """The rows of a dataframe, sorted."""
    return sorted((tuple(row) for row in frame.collect()), key=repr)
