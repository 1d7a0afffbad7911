"""Decoded runs for transform tests, as the collector's decoder makes them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
from tests.support.grids import dump

from cilake.sources.decoder import DECODED
from cilake.sources.testgrid.decode import payload_decoder
from cilake.transforms.core import ci_run_observations


def decode(*tables: dict[str, Any], served_hour: int = 0, landed: str = "2021-06-25") -> pa.Table:
    """The tables' runs, served at an hour of 2021-06-25 and landed on a day."""
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
    decoded = pa.Table.from_batches(list(payload_decoder()(iter([batch]))), schema=DECODED)
    for name, value in (("source", "testgrid"), ("endpoint", "table")):
        decoded = decoded.append_column(name, pa.repeat(pa.scalar(value), len(decoded)))
    return decoded


def with_value(rows: pa.Table, **values: Any) -> pa.Table:
    """The rows with one value in all of a column."""
    for name, value in values.items():
        position = rows.column_names.index(name)
        column = pa.repeat(pa.scalar(value, rows.schema.field(name).type), len(rows))
        rows = rows.set_column(position, name, column)
    return rows


def observe(engine: Any, *tables: dict[str, Any]) -> Any:
    """Return observations of the tables' runs: one tab, served an hour after each other."""
    shown = [decode(table, served_hour=hour) for hour, table in enumerate(tables)]
    decoded = with_value(pa.concat_tables(shown), natural_id="board/tab")
    return ci_run_observations.transform(engine, decoded=engine.from_arrow(decoded))
