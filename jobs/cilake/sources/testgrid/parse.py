"""Payloads of TestGrid read strictly: what is stored, and the runs a table holds.

Format: legacy JSON of the TestGrid front end. A row is run-length encoded, newest column first; messages
have one entry per cell whose code is not 0.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from cilake.contracts.columns import FAILING, PASSING, TEST_STATUSES, VERDICT_NAME

# They differ in every reply, whatever the grid does.
VOLATILE = ("status", "phase-timer", "cached")
HASH_SEED = 42  # Spark's: xxhash64(name) in SQL gives the same keys
OVERALL = "Overall"
_VERDICT = re.compile(VERDICT_NAME)
CI_SYSTEM = "prow"

_PASSING = np.array([code in {c for c, s in TEST_STATUSES.items() if s in PASSING} for code in range(16)])
_FAILING = np.array([code in {c for c, s in TEST_STATUSES.items() if s in FAILING} for code in range(16)])
_FLAKY, _RUNNING = 13, 4

RUNS = pa.schema(
    [
        ("job_key", pa.int64()),
        ("job_name", pa.string()),
        ("run_key", pa.int64()),
        ("build_id", pa.string()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("result_code", pa.int32()),
        ("run_url", pa.string()),
        ("result_count", pa.int64()),
        ("test_count", pa.int64()),
        ("passed_count", pa.int64()),
        ("failed_count", pa.int64()),
        ("flaky_count", pa.int64()),
        ("running_count", pa.int64()),
        ("content_hash", pa.string()),
        ("test_keys", pa.list_(pa.int64())),
        ("codes", pa.list_(pa.int32())),
        ("messages", pa.list_(pa.string())),
        ("test_names", pa.list_(pa.string())),
    ]
)
"""One row per run. ``test_names`` is null but on the first row of a table, which carries all its names."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """A stretch without Python's cyclic collector.

    Parsed JSON holds no cycles but millions of objects that the collector would walk again and again:
    with it, reading takes twice as long.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class UnreadableError(ValueError):
    """A payload that cannot be what it should be; the message says why."""


def parse_object(payload: bytes | memoryview) -> dict[str, Any]:
    """The JSON object in a payload; raises ``UnreadableError`` when there is none."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise UnreadableError(f"malformed_json: {error}") from None
    if not isinstance(document, dict):
        raise UnreadableError(f"not_an_object: {type(document).__name__}")
    return document


def content_digest(document: dict[str, Any]) -> str:
    """SHA-256 of a table without what changes on every request, hex."""
    kept = {key: value for key, value in document.items() if key not in VOLATILE}
    return hashlib.sha256(orjson.dumps(kept)).hexdigest()


def read_tabs(summary: dict[str, Any]) -> list[str]:
    """The tabs a dashboard's summary lists; raises ``UnreadableError`` when an entry is no object."""
    for tab, entry in summary.items():
        if not isinstance(entry, dict):
            raise UnreadableError(f"not_a_summary: tab {tab!r} holds {type(entry).__name__}")
    return list(summary)


@dataclass(frozen=True, slots=True)
class Grid:
    """A decoded table: ``codes`` is tests x columns, newest column first; ``messages`` is per result."""

    job_name: str
    run_url: str | None
    builds: list[str]
    started_ms: np.ndarray
    tests: list[str]
    codes: np.ndarray
    messages: list[str]


def read_grid(document: dict[str, Any]) -> Grid:
    """The grid of a table, run-length decoded and checked.

    Raises:
        UnreadableError: when a key is missing or a row does not cover the columns exactly.

    """
    try:
        builds, timestamps, tests = document["changelists"], document["timestamps"], document["tests"]
        query = document["query"]
        template = (document.get("open-test-template") or {}).get("url") or None
        return _decode(query, template, builds, timestamps, tests)
    except UnreadableError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnreadableError(f"not_a_table: {type(error).__name__}: {error}") from None


def _decode(
    query: str, template: str | None, builds: list[str], timestamps: list[int], tests: list[Any]
) -> Grid:
    columns = len(timestamps)
    if len(builds) != columns:
        raise UnreadableError(f"not_a_table: {len(builds)} builds for {columns} columns")
    if len(set(builds)) != columns or not all(type(build) is str for build in builds):
        raise UnreadableError("not_a_table: build ids are not distinct strings")
    names = list(map(itemgetter("name"), tests))
    if len(set(names)) != len(names) or not all(type(name) is str for name in names):
        raise UnreadableError("not_a_table: test names are not distinct strings")
    encoded = list(map(itemgetter("statuses"), tests))
    stretches = list(chain.from_iterable(encoded))
    counts = np.fromiter(map(itemgetter("count"), stretches), np.int64, len(stretches))
    values = np.fromiter(map(itemgetter("value"), stretches), np.int64, len(stretches))
    if len(counts) and (counts.min() < 0 or values.min() < 0 or values.max() > max(TEST_STATUSES)):
        raise UnreadableError("not_a_table: a status code or run length is out of range")
    ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    covered = np.concatenate(([0], np.cumsum(counts)))[ends]
    if not np.array_equal(covered, columns * np.arange(1, len(tests) + 1)):
        raise UnreadableError(f"not_a_table: a row does not cover the {columns} columns exactly")
    codes = np.repeat(values.astype(np.int8), counts).reshape(len(tests), columns)
    messages = list(map(itemgetter("messages"), tests))
    per_row = np.fromiter(map(len, messages), np.int64, len(messages))
    if not np.array_equal(per_row, np.count_nonzero(codes, axis=1)):
        raise UnreadableError("not_a_table: messages and results of a row differ in number")
    url = template.replace("<gcs_prefix>", query) if template else None
    return Grid(
        job_name=query.rstrip("/").rpartition("/")[2],
        run_url=url,
        builds=builds,
        started_ms=np.array(timestamps, dtype=np.int64),
        tests=names,
        codes=codes,
        messages=list(chain.from_iterable(messages)),
    )


def read_runs(grid: Grid) -> pa.RecordBatch:
    """The runs of a grid, one row each, with their results as arrays (schema ``RUNS``).

    A run whose cells are all empty is a row with empty arrays.
    """
    columns = len(grid.builds)
    present = grid.codes != 0
    by_column, by_row = present.T.nonzero()
    codes = grid.codes.T[by_column, by_row]
    offsets = np.concatenate(([0], np.cumsum(present.sum(axis=0)))).astype(np.int32)
    keys = hash_names(grid.tests)
    cell_keys = keys[by_row]
    # Position of each cell among the non-zero cells in row order, which is the order of the messages.
    positions = (np.cumsum(present.ravel(), dtype=np.int64) - 1).reshape(present.shape).T[by_column, by_row]
    messages = _null_if_empty(pa.array(grid.messages, pa.string()).take(pa.array(positions)))

    def lists(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets), values)

    is_test = np.fromiter((_VERDICT.search(name) is None for name in grid.tests), bool, len(grid.tests))
    of_test = is_test[by_row]

    def count_tests(mask: np.ndarray) -> np.ndarray:
        return np.bincount(by_column[of_test & mask], minlength=columns).astype(np.int64)

    job_key = hash_name(f"{CI_SYSTEM}\x1f{grid.job_name}")
    run_keys = [hash_name(f"{CI_SYSTEM}\x1f{grid.job_name}\x1f{build}") for build in grid.builds]
    overall = grid.tests.index(OVERALL) if OVERALL in grid.tests else None
    verdicts = grid.codes[overall].astype(np.int32) if overall is not None else np.zeros(columns, np.int32)
    names = pa.array([grid.tests] + [None] * (columns - 1) if columns else [], RUNS.field("test_names").type)
    values = {
        "job_key": pa.array([job_key] * columns, pa.int64()),
        "job_name": pa.array([grid.job_name] * columns, pa.string()),
        "run_key": pa.array(run_keys, pa.int64()),
        "build_id": pa.array(grid.builds, pa.string()),
        "started_at": pa.array(grid.started_ms * 1000).cast(RUNS.field("started_at").type),
        "result_code": pa.array(verdicts, mask=verdicts == 0),
        "run_url": pa.array(
            [grid.run_url.replace("<changelist>", build) if grid.run_url else None for build in grid.builds],
            pa.string(),
        ),
        "result_count": pa.array(np.diff(offsets).astype(np.int64)),
        "test_count": pa.array(count_tests(of_test)),
        "passed_count": pa.array(count_tests(_PASSING[codes])),
        "failed_count": pa.array(count_tests(_FAILING[codes])),
        "flaky_count": pa.array(count_tests(codes == _FLAKY)),
        "running_count": pa.array(count_tests(codes == _RUNNING)),
        "content_hash": pa.array(_hash_columns(grid.started_ms, cell_keys, codes, messages, offsets)),
        "test_keys": lists(pa.array(cell_keys)),
        "codes": lists(pa.array(codes.astype(np.int32))),
        "messages": lists(messages),
        "test_names": names,
    }
    return pa.RecordBatch.from_pydict(values, schema=RUNS)


def iter_runs(payload: bytes | memoryview, *, runs_per_batch: int = 512) -> Iterator[pa.RecordBatch]:
    """The runs of one stored payload in batches of bounded size."""
    runs = read_runs(read_grid(parse_object(payload)))
    for start in range(0, len(runs), runs_per_batch):
        yield runs.slice(start, runs_per_batch)


def hash_name(name: str) -> int:
    """The signed 64-bit key of a name, equal to Spark's ``xxhash64(name)``."""
    value = xxhash.xxh64_intdigest(name.encode(), HASH_SEED)
    return value - (1 << 64) if value >= 1 << 63 else value


def hash_names(names: list[str]) -> np.ndarray:
    """The keys of many names, as ``int64``."""
    digest = xxhash.xxh64_intdigest
    return np.fromiter((digest(name.encode(), HASH_SEED) for name in names), np.uint64, len(names)).view(
        np.int64
    )


def _null_if_empty(messages: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(messages, ""), pa.scalar(None, pa.string()), messages)


def _hash_columns(
    started_ms: np.ndarray, keys: np.ndarray, codes: np.ndarray, messages: pa.Array, offsets: np.ndarray
) -> list[str]:
    """One hash per column over its start and cells; the order of the rows does not matter.

    Cells are mixed (splitmix64) and summed, so one changed status or message changes the hash; messages
    are hashed only where there is one.
    """
    mixed = _mix(keys.view(np.uint64) + codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    filled = np.flatnonzero(np.asarray(messages.is_valid()))
    if len(filled):
        texts = messages.take(pa.array(filled)).to_pylist()
        mixed[filled] += _mix(hash_names(texts).view(np.uint64) ^ mixed[filled])
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    totals = sums[offsets[1:]] - sums[offsets[:-1]]
    totals = _mix(totals ^ _mix(started_ms.view(np.uint64)))
    return [
        f"{total:016x}{size:08x}"
        for total, size in zip(totals.tolist(), np.diff(offsets).tolist(), strict=True)
    ]


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
