"""Stored payloads to runs inside Spark, with the functions of their source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa

from cilake.landing.gc_paused import gc_paused
from cilake.sources.errors import UnreadableError, odd_payload
from cilake.sources.runs import RUNS, Decoded, Reject

Decode = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
Read = Callable[[memoryview, datetime], Decoded]
"""What a payload that was served at a moment shows; raises ``UnreadableError`` for one that is none."""

RUNS_PER_BATCH = 512

EXTRA = pa.schema(
    [
        pa.field("known_at", pa.timestamp("us", tz="UTC")),
        pa.field("landed_date", pa.date32()),
        pa.field("origin", pa.string()),
        pa.field("natural_id", pa.string()),
        pa.field("decoder_version", pa.int32()),
        pa.field("reject_reason", pa.string()),
    ]
)
DECODED = pa.schema([*RUNS, *EXTRA])


def payload_decoder(read: Read, *, version: int) -> Decode:
    """Return a ``mapInArrow`` function from stored payloads to their runs and rejects (``DECODED``).

    ``version`` is part of the identity of what is read: raised whenever ``read`` reads a payload differently.

    The columns of the payloads are ``payload``, ``served_at``, ``partition_date``, ``origin`` and
    ``natural_id``, in this order. A row has either a run and no ``reject_reason``, or a ``reject_reason`` and
    nothing of a run but the ``build_id`` where one column of the table is refused. No payload raises: one
    that is no table is a reject without ``build_id``.
    """

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with gc_paused():
            for batch in batches:
                for payload, served_at, landed_date, origin, natural_id in zip(*batch.columns, strict=True):
                    facts = (served_at, landed_date, origin, natural_id)
                    decoded = _decode(read, payload, served_at.as_py())
                    for start in range(0, len(decoded.runs), RUNS_PER_BATCH):
                        yield _with_facts(decoded.runs.slice(start, RUNS_PER_BATCH), facts, version)
                    if decoded.rejects:
                        yield _with_facts(_rows_of(decoded.rejects), facts, version, decoded.rejects)

    return decode


def _decode(read: Read, payload: pa.BinaryScalar, served_at: datetime) -> Decoded:
    try:
        return read(memoryview(payload.as_buffer()), served_at)
    except UnreadableError as error:
        reason = str(error)
    except Exception as error:
        # Whatever a payload can raise concerns this payload alone; it is kept with the reason.
        reason = odd_payload(error)
    return Decoded(pa.RecordBatch.from_pylist([], schema=RUNS), [Reject(reason)])


def _rows_of(rejects: list[Reject]) -> pa.RecordBatch:
    """Return a row per reject with the columns of runs, all null but the build."""
    columns = {field.name: pa.nulls(len(rejects), field.type) for field in RUNS}
    columns["build_id"] = pa.array([reject.build_id for reject in rejects], pa.string())
    return pa.RecordBatch.from_pydict(columns, schema=RUNS)


def _with_facts(
    rows: pa.RecordBatch, facts: tuple[Any, ...], version: int, rejects: list[Reject] | None = None
) -> pa.RecordBatch:
    """Return the rows with what is known about their payload, and with the reason where they are rejects."""
    known = [pa.repeat(fact.cast(field.type), len(rows)) for fact, field in zip(facts, EXTRA, strict=False)]
    versions = pa.repeat(pa.scalar(version, pa.int32()), len(rows))
    reasons = (
        pa.array([_in_words(reject) for reject in rejects], pa.string())
        if rejects
        else pa.nulls(len(rows), pa.string())
    )
    return pa.RecordBatch.from_arrays([*rows.columns, *known, versions, reasons], schema=DECODED)


def _in_words(reject: Reject) -> str:
    """Return the reason, with the name of the test that it is about."""
    return reject.reason if reject.test_name is None else f"{reject.reason}; test {reject.test_name[:200]!r}"
