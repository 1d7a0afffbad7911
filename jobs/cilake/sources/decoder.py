"""Stored payloads to runs inside Spark, with the functions of their source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from cilake.contracts.vocabulary.ci import TEST_STATUSES
from cilake.landing.gc_paused import gc_paused
from cilake.sources.errors import UnreadableError, odd_payload
from cilake.sources.keys import hash_names
from cilake.sources.runs import RUNS, Decoded, Reject

Decode = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
Read = Callable[[memoryview, datetime], Decoded]
"""What a payload that was served at a moment shows; raises ``UnreadableError`` for one that is none."""

RUNS_PER_BATCH = 512

FACTS = pa.schema(
    [
        pa.field("known_at", pa.timestamp("us", tz="UTC")),
        pa.field("landed_date", pa.date32()),
        pa.field("origin", pa.string()),
        pa.field("natural_id", pa.string()),
    ]
)
"""What is known about the payload of a run."""
IN_WORDS = {"result_code": "result", "codes": "test_statuses"}
"""Columns with codes of statuses by what they are called once they hold words."""
DECODED = pa.schema(
    [
        *(
            pa.field(
                IN_WORDS[field.name], pa.list_(pa.string()) if pa.types.is_list(field.type) else pa.string()
            )
            if field.name in IN_WORDS
            else field
            for field in RUNS
        ),
        pa.field("test_name_keys", pa.list_(pa.int64())),
        *FACTS,
        pa.field("decoder_version", pa.int32()),
        pa.field("reject_reason", pa.string()),
    ]
)
"""A row per run or reject: the columns of ``RUNS`` with words for codes, the keys of its names, and what is
known about the payload. ``test_names`` of a refused test is its name alone."""
_WORDS = pa.array([None, *TEST_STATUSES], pa.string())


def payload_decoder(read: Read, *, version: int) -> Decode:
    """Return a ``mapInArrow`` function from stored payloads to their runs and rejects (``DECODED``).

    ``version`` is part of the identity of what is read: raised whenever ``read`` reads a payload differently.

    The columns of the payloads are ``payload``, ``served_at``, ``partition_date``, ``origin`` and
    ``natural_id``, in this order. A row has either a run and no ``reject_reason``, or a ``reject_reason`` and
    nothing of a run but the ``build_id`` where one column of the table is refused, or ``test_names`` where a
    row is. No payload raises: one that is no table is a reject without either.
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
                        refused = _with_words(_rows_of(decoded.rejects))
                        yield _with_facts(refused, facts, version, decoded.rejects)

    return decode


def _decode(read: Read, payload: pa.BinaryScalar, served_at: datetime) -> Decoded:
    """Return what a payload shows, its runs with words for codes."""
    try:
        decoded = read(memoryview(payload.as_buffer()), served_at)
        return Decoded(_with_words(decoded.runs), decoded.rejects)
    except UnreadableError as error:
        reason = str(error)
    except Exception as error:
        # Whatever a payload can raise concerns this payload alone; it is kept with the reason.
        reason = odd_payload(error)
    return Decoded(_with_words(pa.RecordBatch.from_pylist([], schema=RUNS)), [Reject(reason)])


def _rows_of(rejects: list[Reject]) -> pa.RecordBatch:
    """Return a row per reject with the columns of runs, all null but the build or the test."""
    columns = {field.name: pa.nulls(len(rejects), field.type) for field in RUNS}
    names = [None if reject.test_name is None else [reject.test_name] for reject in rejects]
    columns["test_names"] = pa.array(names, RUNS.field("test_names").type)
    columns["build_id"] = pa.array([reject.build_id for reject in rejects], pa.string())
    return pa.RecordBatch.from_pydict(columns, schema=RUNS)


def _with_facts(
    rows: pa.RecordBatch, facts: tuple[Any, ...], version: int, rejects: list[Reject] | None = None
) -> pa.RecordBatch:
    """Return the rows with what is known about their payload, and with the reason where they are rejects."""
    known = [pa.repeat(fact.cast(field.type), len(rows)) for fact, field in zip(facts, FACTS, strict=True)]
    versions = pa.repeat(pa.scalar(version, pa.int32()), len(rows))
    reasons = (
        pa.array([_reason_of(reject) for reject in rejects], pa.string())
        if rejects
        else pa.nulls(len(rows), pa.string())
    )
    return pa.RecordBatch.from_arrays([*rows.columns, *known, versions, reasons], schema=DECODED)


def _with_words(runs: pa.RecordBatch) -> pa.RecordBatch:
    """Return runs with words for codes, and with the keys of the names."""
    columns = [
        _in_words(column) if field.name in IN_WORDS else column
        for field, column in zip(RUNS, runs.columns, strict=True)
    ]
    keys = [_keys_of(names) for names in runs["test_names"].to_pylist()]
    named = pa.array(keys, DECODED.field("test_name_keys").type)
    names = [IN_WORDS.get(name, name) for name in RUNS.names]
    return pa.RecordBatch.from_arrays([*columns, named], names=[*names, "test_name_keys"])


def _in_words(codes: pa.Array) -> pa.Array:
    """Return the words for codes of statuses, in lists where these are; null where there is none."""
    if pa.types.is_list(codes.type):
        whole = codes.take(pa.array(np.arange(len(codes))))  # of a slice, what is in it alone
        texts = _WORDS.take(whole.values)
        return pa.ListArray.from_arrays(whole.offsets, texts, mask=whole.is_null())
    return _WORDS.take(codes)


def _keys_of(names: list[str] | None) -> np.ndarray | None:
    return None if names is None else hash_names(names)


def _reason_of(reject: Reject) -> str:
    """Return the reason, with the name of the test that it is about."""
    return reject.reason if not reject.test_name else f"{reject.reason}; test {reject.test_name[:200]!r}"
