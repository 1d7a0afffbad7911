"""Payloads of TestGrid read strictly: the runs that a table holds, and what of it is refused.

Format: legacy JSON of the TestGrid front end. A row is run-length encoded, newest column first; messages
have one entry per cell whose code is not 0.

The landing and Spark read with the same functions, so what is landed can be decoded. A payload that is no
table raises ``UnreadableError``; one odd column or row is refused with its reason, and the rest is read.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from cilake.contracts.columns import FAILING, PASSING, TEST_STATUSES, VERDICT_NAME
from cilake.sources.testgrid.errors import UnreadableError
from cilake.sources.testgrid.grid import Grid, Reject, hash_builds, read_grid, shorten
from cilake.sources.testgrid.keys import hash_name, hash_names, mix

DECODER_VERSION = 4
"""Raised whenever this module reads the same payload differently; part of the identity of what it reads."""

# They differ in every reply, whatever the grid does.
VOLATILE = ("status", "phase-timer", "cached")

MAX_VALUES = 8_000_000
"""Values in a payload, ten times those of the largest recorded: as Python objects 1 GB at most."""
_VERDICT = re.compile(VERDICT_NAME)
_VERDICT_ENDS = ("Overall", "Pod")
_PASSING = np.array([TEST_STATUSES.get(code) in PASSING for code in range(16)])
_FAILING = np.array([TEST_STATUSES.get(code) in FAILING for code in range(16)])
_FLAKY, _RUNNING = 13, 4

RUNS = pa.schema(
    [
        ("ci_instance", pa.string()),
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
"""One row per run. ``test_names`` is null but on the first row of a table, which carries the names of all
tests and verdicts that have a result in any of its runs."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a table holds: its runs (schema ``RUNS``), and what of it was refused."""

    runs: pa.RecordBatch
    rejects: list[Reject]


def parse_object(payload: bytes | memoryview) -> dict[str, Any]:
    """Return the JSON object in a payload.

    Raises:
        UnreadableError: when there is none, or more values than can be held in memory.

    """
    # A value takes at least a byte: nearly all payloads are too short to hold too many.
    if len(payload) > MAX_VALUES and (count := _count_values(bytes(payload))) > MAX_VALUES:
        raise UnreadableError(f"too_large: up to {count:,} values, more than {MAX_VALUES:,}")
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise UnreadableError(f"malformed_json: {error}") from None
    if not isinstance(document, dict):
        raise UnreadableError(f"not_an_object: {type(document).__name__}")
    return document


def _count_values(payload: bytes) -> int:
    """Return the most values that the payload can hold: each but one follows a comma or opens a container."""
    return 1 + sum(map(payload.count, (b",", b"[", b"{")))


def content_digest(document: dict[str, Any]) -> str:
    """Return the SHA-256 of a table without what changes on every request, hex.

    Raises:
        UnreadableError: when the document is nested deeper than can be written again (254 levels; a table
            has 6).

    """
    kept = {key: value for key, value in document.items() if key not in VOLATILE}
    try:
        return hashlib.sha256(orjson.dumps(kept)).hexdigest()
    except (TypeError, RecursionError) as error:
        raise UnreadableError(f"too_deep: {error}") from None


def read_tabs(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tabs that a dashboard's summary lists, with what it says of each.

    Raises:
        UnreadableError: when an entry is no object.

    """
    for tab, entry in summary.items():
        if not isinstance(entry, dict):
            raise UnreadableError(f"not_a_summary: tab {shorten(tab)} holds {type(entry).__name__}")
    return summary


def read_table(document: dict[str, Any], *, served_at: datetime) -> Decoded:
    """Return the runs of a table served at a moment, and its columns and rows that are refused.

    Raises:
        UnreadableError: when it is no table of one job: a key is missing or of another type, or a row does
            not cover the columns exactly.

    """
    try:
        return _read_runs(read_grid(document, served_at))
    except UnreadableError:
        raise
    except Exception as error:
        # Whatever a payload can raise concerns this payload alone; it is kept with the reason.
        raise UnreadableError(f"not_a_table: {type(error).__name__}: {str(error)[:200]}") from error


def _read_runs(grid: Grid) -> Decoded:
    """Return the runs of a grid, one row each, with their results as arrays (schema ``RUNS``).

    A run whose cells are all empty is a row with empty arrays.
    """
    columns = len(grid.builds)
    cells = grid.cells.by_column()
    sizes = np.bincount(cells.columns, minlength=columns)
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    cell_keys = grid.keys[cells.rows]
    messages = grid.messages.take(pa.array(cells.messages))
    is_test = np.fromiter((not is_verdict(name) for name in grid.tests), bool, len(grid.tests))
    of_test = is_test[cells.rows]

    def lists(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets), values)

    def count_tests(mask: np.ndarray) -> np.ndarray:
        return np.bincount(cells.columns[of_test & mask], minlength=columns)

    verdicts = _read_verdicts(grid)
    values = {
        "ci_instance": pa.array([grid.ci_instance] * columns, pa.string()),
        "job_key": pa.array([hash_name(f"{grid.ci_instance}\x1f{grid.job_name}")] * columns, pa.int64()),
        "job_name": pa.array([grid.job_name] * columns, pa.string()),
        "run_key": pa.array(hash_builds(grid.ci_instance, grid.job_name, grid.builds), pa.int64()),
        "build_id": pa.array(grid.builds, pa.string()),
        "started_at": pa.array(grid.started_ms * 1000).cast(RUNS.field("started_at").type),
        "result_code": pa.array(verdicts, mask=verdicts == 0),
        "run_url": pa.array(grid.urls, pa.string()),
        "result_count": pa.array(sizes),
        "test_count": pa.array(np.bincount(cells.columns[of_test], minlength=columns)),
        "passed_count": pa.array(count_tests(_PASSING[cells.codes])),
        "failed_count": pa.array(count_tests(_FAILING[cells.codes])),
        "flaky_count": pa.array(count_tests(cells.codes == _FLAKY)),
        "running_count": pa.array(count_tests(cells.codes == _RUNNING)),
        "content_hash": pa.array(_hash_columns(grid, cell_keys, cells.codes, messages, offsets)),
        "test_keys": lists(pa.array(cell_keys)),
        "codes": lists(pa.array(cells.codes.astype(np.int32))),
        "messages": lists(messages),
        "test_names": _names_of(grid),
    }
    return Decoded(pa.RecordBatch.from_pydict(values, schema=RUNS), grid.rejects)


def is_verdict(name: str) -> bool:
    """Return whether a row is a verdict of a run or of its pod, by its name alone (``VERDICT_NAME``)."""
    return name.endswith(_VERDICT_ENDS) and _VERDICT.search(name) is not None


def _read_verdicts(grid: Grid) -> np.ndarray:
    """Return the code of each run's own verdict, 0 where there is none.

    It stands in the row ``Overall``, or ``<job>.Overall`` where that one has no result. Another job's verdict
    is none of this run.
    """
    verdicts = np.zeros(len(grid.builds), np.int32)
    for name in (f"{grid.job_name}.Overall", "Overall"):
        if name in grid.tests:
            cells = grid.cells.of_row(grid.tests.index(name))
            verdicts[cells.columns] = cells.codes
    return verdicts


def _names_of(grid: Grid) -> pa.Array:
    """Return for each run null, but for the first one the names of all rows that have a result in any run."""
    has_result = np.bincount(grid.cells.rows, minlength=len(grid.tests)) > 0
    names = [grid.tests[row] for row in np.flatnonzero(has_result)]
    return pa.array([names, *[None] * len(grid.builds)][: len(grid.builds)], RUNS.field("test_names").type)


def _hash_columns(
    grid: Grid, keys: np.ndarray, codes: np.ndarray, messages: pa.Array, offsets: np.ndarray
) -> list[str]:
    """Return one hash per run over its start, its page and its cells; the order of the rows does not matter.

    Cells are mixed (splitmix64) and summed, so one changed status or message changes the hash; messages
    are hashed only where there is one. The page counts: a run whose logs moved to another bucket has a new
    content, or its old address would stay for ever.
    """
    mixed = mix(keys.view(np.uint64) + codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    filled = np.flatnonzero(np.asarray(messages.is_valid()))
    if len(filled):
        texts = messages.take(pa.array(filled)).to_pylist()
        mixed[filled] += mix(hash_names(texts).view(np.uint64) ^ mixed[filled])
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    totals = sums[offsets[1:]] - sums[offsets[:-1]]
    totals = mix(totals ^ mix(grid.started_ms.view(np.uint64)))
    pages = hash_names([url or "" for url in grid.urls]).view(np.uint64)
    totals = mix(totals + pages)
    return [
        f"{total:016x}{size:08x}"
        for total, size in zip(totals.tolist(), np.diff(offsets).tolist(), strict=True)
    ]
