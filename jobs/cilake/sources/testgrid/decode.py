"""Stored payloads to runs inside Spark."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pyarrow as pa

from cilake.sources.testgrid.parse import RUNS, iter_runs

DECODED = RUNS.append(pa.field("known_at", pa.timestamp("us", tz="UTC"))).append(
    pa.field("landed_date", pa.date32())
)
SPARK_SCHEMA = (
    "job_key bigint, job_name string, run_key bigint, build_id string, started_at timestamp, "
    "result_code int, run_url string, passed_count bigint, failed_count bigint, flaky_count bigint, "
    "running_count bigint, content_hash string, test_keys array<bigint>, codes array<int>, "
    "messages array<string>, test_names array<string>, known_at timestamp, landed_date date"
)


def payload_decoder() -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A ``mapInArrow`` function from (payload, served_at, partition_date) to runs (``SPARK_SCHEMA``)."""

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Parsed JSON holds no cycles but millions of objects that the collector would walk again and again.
        gc.disable()
        try:
            for batch in batches:
                for payload, served_at, day in zip(*(batch.column(i) for i in range(3)), strict=True):
                    for runs in iter_runs(memoryview(payload.as_buffer())):
                        extra = [pa.array([scalar.as_py()] * len(runs), field.type)
                                 for scalar, field in ((served_at, DECODED.field("known_at")),
                                                       (day, DECODED.field("landed_date")))]  # fmt: skip
                        yield pa.RecordBatch.from_arrays([*runs.columns, *extra], schema=DECODED)
        finally:
            gc.enable()

    return decode
