"""Stored payloads to runs inside Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from cilake.sources.testgrid.parse import RUNS, collector_paused, iter_runs

EXTRA = (
    pa.field("known_at", pa.timestamp("us", tz="UTC")),
    pa.field("landed_date", pa.date32()),
    pa.field("origin", pa.string()),
)
DECODED = pa.schema([*RUNS, *EXTRA])
SPARK_SCHEMA = (
    "job_key bigint, job_name string, run_key bigint, build_id string, started_at timestamp, "
    "result_code int, run_url string, result_count bigint, test_count bigint, passed_count bigint, "
    "failed_count bigint, flaky_count bigint, running_count bigint, content_hash string, "
    "test_keys array<bigint>, codes array<int>, messages array<string>, test_names array<string>, "
    "known_at timestamp, landed_date date, origin string"
)


def payload_decoder() -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A ``mapInArrow`` function from payloads and their origin to runs (``SPARK_SCHEMA``)."""

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with collector_paused():
            for batch in batches:
                for payload, *facts in zip(*batch.columns, strict=True):
                    for runs in iter_runs(memoryview(payload.as_buffer())):
                        extra = [
                            pa.repeat(fact.cast(field.type), len(runs))
                            for fact, field in zip(facts, EXTRA, strict=True)
                        ]
                        yield pa.RecordBatch.from_arrays([*runs.columns, *extra], schema=DECODED)

    return decode
