"""Payloads of TestGrid read strictly: the runs that a table holds, and what of it is refused.

Format: legacy JSON of the TestGrid front end. A row is run-length encoded, newest column first; messages
have one entry per cell whose code is not 0.

The landing and Spark read with the same functions, so what is landed can be decoded. A payload that is no
table raises ``UnreadableError``; one odd column or row is refused with its reason, and the rest is read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from cilake.contracts.vocabulary.ci import FAILING, FLAKY, PASSING, RUNNING, TEST_STATUSES
from cilake.sources.errors import UnreadableError
from cilake.sources.keys import hash_job, hash_names, mix
from cilake.sources.runs import CODES, RUNS, Decoded, is_verdict, shorten
from cilake.sources.testgrid.grid import Grid, hash_builds, read_grid

DECODER_VERSION = 4
"""Raised whenever this module reads the same payload differently; part of the identity of what it reads."""

# They differ in every reply, whatever the grid does.
VOLATILE = ("status", "phase-timer", "cached")

_PASSING = np.isin(["", *TEST_STATUSES], PASSING)
_FAILING = np.isin(["", *TEST_STATUSES], FAILING)


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
        "job_key": pa.array([hash_job(grid.ci_instance, grid.job_name)] * columns, pa.int64()),
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
        "flaky_count": pa.array(count_tests(cells.codes == CODES[FLAKY])),
        "running_count": pa.array(count_tests(cells.codes == CODES[RUNNING])),
        "content_hash": pa.array(_hash_columns(grid, cell_keys, cells.codes, messages, offsets)),
        "test_keys": lists(pa.array(cell_keys)),
        "codes": lists(pa.array(cells.codes.astype(np.int32))),
        "messages": lists(messages),
        "test_names": _names_of(grid),
    }
    return Decoded(pa.RecordBatch.from_pydict(values, schema=RUNS), grid.rejects)


def _read_verdicts(grid: Grid) -> np.ndarray:
    """Return the code of each run's own verdict, 0 where there is none.

    It is in the row ``Overall``, or ``<job>.Overall`` where that one has no result. Another job's verdict
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
