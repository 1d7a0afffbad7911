"""Stored payloads to runs inside Spark."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pyarrow as pa

from cilake.sources.testgrid.parse import RUNS, iter_runs

EXTRA = (
    pa.field("known_at", pa.timestamp("us", tz="UTC")),
    pa.field("landed_date", pa.date32()),
    pa.field("origin", pa.string()),
)
DECODED = pa.schema([*RUNS, *EXTRA])
SPARK_SCHEMA = (
    "job_key bigint, job_name string, run_key bigint, build_id string, started_at timestamp, "
    "result_code int, run_url string, passed_count bigint, failed_count bigint, flaky_count bigint, "
    "running_count bigint, content_hash string, test_keys array<bigint>, codes array<int>, "
    "messages array<string>, test_names array<string>, known_at timestamp, landed_date date, origin string"
)


def payload_decoder() -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A ``mapInArrow`` function from payloads and their origin to runs (``SPARK_SCHEMA``)."""

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Parsed JSON holds no cycles but millions of objects that the collector would walk again and again.
        gc.disable()
        try:
            for batch in batches:
                for row in zip(*batch.columns, strict=True):
                    payload, *facts = row
                    for runs in iter_runs(memoryview(payload.as_buffer())):
                        extra = [
                            pa.repeat(fact.cast(field.type), len(runs))
                            for fact, field in zip(facts, EXTRA, strict=True)
                        ]
                        yield pa.RecordBatch.from_arrays([*runs.columns, *extra], schema=DECODED)
        finally:
            gc.enable()

    return decode
