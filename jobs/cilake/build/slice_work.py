"""What a worker does with one slice of payloads: decode it, then write those of its rows that are wanted.

Payloads and results never leave the worker. It gives back the runs without their results, and later the paths
of the files that it has written. In between, what it decoded is kept on its own disk; a worker that does not
find that decodes again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cilake.build.decoding import DECODED_RUNS, PAYLOAD_COLUMNS, RawTable, decode_rows
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.registry import table as contract
from cilake.lake.data_files import Place, Storage, in_parts, sort_by_month, write_file
from cilake.sources.registry import source
from cilake.transforms.core import ci_run_observations, test_results
from cilake.transforms.core.ci_run_observations import RESULTS
from cilake.transforms.engines import DuckEngine, explode

TOLD = [name for name in DECODED_RUNS.names if name not in RESULTS]
"""What is given back of the runs; the names of tests are with the first run of each payload."""
_KEPT = pa.schema([field for field in DECODED_RUNS if field.name not in ("test_names", "test_name_keys")])
_FOLDER = "cilake-slices-"
_LEFT_SECONDS = 4 * 3600
"""What killed work has kept is removed by other work when it is so old."""


@dataclass(frozen=True, slots=True)
class Part:
    """Row groups of a file of a raw table."""

    path: str
    row_groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Payloads of a raw table of a source that one worker decodes, for the build that ``attempt`` names."""

    attempt: str
    number: int
    storage: Storage
    source: str
    endpoint: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows of a slice that are to be written, by their number: observations, and runs with their results.

    ``run_keys`` are those of the latter, to be sure of them; ``known_at`` are microseconds since 1970.
    """

    observed: np.ndarray
    standing: np.ndarray
    run_keys: np.ndarray
    known_at: np.ndarray


def decode_slice(one: Slice) -> pa.Table:
    """Decode the payloads of a slice and keep what they show here; return the runs without their results."""
    _remove_left()
    folder = kept_folder(one.attempt)
    folder.mkdir(mode=0o700, exist_ok=True)
    told = [DECODED_RUNS.empty_table().select(TOLD)]
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    place = folder / f"{one.number}.{time.monotonic_ns()}"  # whole or not there, whoever does it twice
    with pa.ipc.new_file(place, _KEPT, options=options) as file:
        for batch in _decode(one):
            file.write_batch(batch.select(_KEPT.names))
            told.append(pa.Table.from_batches([batch.select(TOLD)]))
    place.rename(_kept_at(one))
    return pa.concat_tables(told).combine_chunks()


def write_slice(one: Slice, wanted: Wanted, places: Mapping[str, Place]) -> dict[str, list[str]]:
    """Write the wanted rows of a slice, sorted, a file for each month; return the paths by table.

    A worker that does it again writes the same files again.

    Raises:
        RuntimeError: when the rows are not those that were decoded before.

    """
    if not len(wanted.observed) and not len(wanted.standing):
        return {table.address: [] for table in (OBSERVATIONS, TEST_RESULTS)}
    rows = _read_kept(one)
    # The wide columns need no query: they are those that were decoded.
    observed = ci_run_observations.transform(
        DuckEngine(), decoded=rows.drop_columns(list(RESULTS)), columns=ci_run_observations.FACTS
    )
    for name in RESULTS:
        observed = observed.append_column(name, rows[name])
    if not np.array_equal(observed["run_key"].take(wanted.standing).to_numpy(), wanted.run_keys):
        raise RuntimeError(f"slice {one.number} of {one.endpoint} was decoded otherwise before; run again")
    known_at = np.zeros(len(observed), np.int64)
    known_at[wanted.standing] = wanted.known_at

    def results_of(numbers: np.ndarray) -> pa.Table:
        known = pa.array(known_at[numbers], pa.timestamp("us", tz="UTC"))
        named = [test_results.IN_OBSERVATIONS.get(name, name) for name in TEST_RESULTS.column_names]
        runs = observed.take(numbers).append_column("known_at", known).select(named)
        return explode(runs.rename_columns(TEST_RESULTS.column_names), list(test_results.IN_OBSERVATIONS))

    return {
        table.address: _write_months(one, places[table.address], observed, numbers, make)
        for table, numbers, make in (
            (OBSERVATIONS, wanted.observed, observed.take),
            (TEST_RESULTS, wanted.standing, results_of),
        )
    }


def forget_slice(one: Slice) -> None:
    """Remove what is kept of a slice here, and the folder after the last one."""
    with suppress(OSError):
        _kept_at(one).unlink()
        kept_folder(one.attempt).rmdir()


def kept_folder(attempt: str) -> Path:
    """Return the folder in which a worker keeps what it has decoded for a build."""
    return _disk() / f"{_FOLDER}{attempt}"


def _disk() -> Path:
    """Return a folder on disk: Spark tells its workers of its own; what is temporary may be memory."""
    given = os.environ.get("SPARK_LOCAL_DIRS", "").partition(",")[0]
    return Path(given) if given and Path(given).is_dir() else Path(tempfile.gettempdir())


def _write_months(
    one: Slice, place: Place, observed: pa.Table, numbers: np.ndarray, make: Callable[[np.ndarray], pa.Table]
) -> list[str]:
    """Write what is made of rows, a file for each month; return the paths."""
    io = one.storage.open()
    sizes = observed["result_count"].fill_null(0).to_numpy()
    keys = observed.select([place.day_column, *place.sort_by]).take(numbers)
    paths = []
    for month, order in sort_by_month(keys, place):
        path = f"{place.folder}/{month}-{one.attempt}-{one.number:05}.parquet"
        write_file(io, path, place, in_parts(numbers[order], sizes[numbers[order]], make))
        paths.append(path)
    return paths


def _kept_at(one: Slice) -> Path:
    return kept_folder(one.attempt) / f"{one.number}.arrow"


def _read_kept(one: Slice) -> pa.Table:
    """Return what was decoded of a slice, decoded again where that is not here."""
    try:
        with pa.OSFile(str(_kept_at(one))) as file:
            return pa.ipc.open_file(file).read_all().combine_chunks()
    except FileNotFoundError:
        batches = [batch.select(_KEPT.names) for batch in _decode(one)]
        return pa.Table.from_batches(batches, _KEPT).combine_chunks()


def _decode(one: Slice) -> Iterator[pa.RecordBatch]:
    """Yield what the payloads of a slice show, read from their files some at a time."""
    of_source = source(one.source)
    raw = RawTable(of_source, one.endpoint, contract(of_source.endpoints[one.endpoint]))
    io = one.storage.open()
    for part in one.parts:
        with io.new_input(part.path).open() as file:
            payloads = pq.ParquetFile(file)
            for group in part.row_groups:
                yield from decode_rows(raw, payloads.read_row_group(group, columns=list(PAYLOAD_COLUMNS)))


def _remove_left() -> None:
    """Remove what work that was killed has left here."""
    for folder in _disk().glob(f"{_FOLDER}*"):
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - _LEFT_SECONDS:
                shutil.rmtree(folder)
