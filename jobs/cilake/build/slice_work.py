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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cilake.build.decoding import DECODED_RUNS, PAYLOAD_COLUMNS, RawTable, decode_rows
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.registry import table as contract
from cilake.lake.data_files import Storage, TableLocation, in_parts, sort_by_month, write_file
from cilake.sources.registry import source
from cilake.transforms.core import ci_run_observations, test_results
from cilake.transforms.core.ci_run_observations import RESULTS
from cilake.transforms.engines import DuckEngine, explode

DECODED = [name for name in DECODED_RUNS.names if name not in RESULTS]
"""What is given back of the runs; the names of tests are with the first run of each payload."""
_KEPT = pa.schema([field for field in DECODED_RUNS if field.name not in ("test_names", "test_name_keys")])
PART_RESULTS = 8_000_000
"""So many results of a slice are held at a time, and those of one batch of runs more."""
MAX_RUNS = 300_000
"""So many runs all slices of a build may show: they are held, without results, where it is built."""
_FOLDER = "cilake-slices-"
_LEFT_SECONDS = 4 * 3600
"""What a killed command has kept is removed by another one when it is so old."""


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

    def within(self, first: int, after: int) -> Wanted:
        """Return the wanted rows with numbers from ``first`` to before ``after``, numbered from there on."""
        (chosen,) = np.nonzero((self.standing >= first) & (self.standing < after))
        return Wanted(
            self.observed[(self.observed >= first) & (self.observed < after)] - first,
            self.standing[chosen] - first,
            self.run_keys[chosen],
            self.known_at[chosen],
        )


def decode_slice(one: Slice) -> Iterator[pa.Table]:
    """Decode the payloads of a slice and keep what they show here; yield the runs without their results.

    They come in parts of about ``PART_RESULTS`` results, each of which is kept in a separate file, so that
    no more has to be held when it is written.

    Raises:
        MemoryError: when there are more than ``MAX_RUNS`` runs.

    """
    _remove_left()
    kept_folder(one.attempt).mkdir(mode=0o700, exist_ok=True)
    run_count = 0
    for part, batches in enumerate(_in_parts(_decode(one))):
        rows = pa.Table.from_batches(batches, DECODED_RUNS)
        run_count += rows.num_rows
        if run_count > MAX_RUNS:
            raise MemoryError(f"more than {MAX_RUNS:,} runs in a slice of payloads")
        # Whole or not there, whoever does it twice.
        location = kept_folder(one.attempt) / f"{one.number}.{time.monotonic_ns()}"
        with pa.ipc.new_file(location, _KEPT, options=pa.ipc.IpcWriteOptions(compression="lz4")) as file:
            file.write_table(rows.select(_KEPT.names))
        location.rename(_kept_at(one, part))
        yield rows.select(DECODED)
    _whole_at(one).touch()


def write_slice(one: Slice, wanted: Wanted, locations: Mapping[str, TableLocation]) -> dict[str, list[str]]:
    """Write the wanted rows of a slice, sorted, a file for each month of its parts; return paths by table.

    A worker that does it again writes the same files again.

    Raises:
        RuntimeError: when the rows are not those that were decoded before.

    """
    paths: dict[str, list[str]] = {table.address: [] for table in (OBSERVATIONS, TEST_RESULTS)}
    if not len(wanted.observed) and not len(wanted.standing):
        return paths
    if not _whole_at(one).exists():  # another worker has decoded it, or this one was killed meanwhile
        for _ in decode_slice(one):
            pass
    first = 0
    for part in count():
        if not _kept_at(one, part).exists():
            break
        with pa.OSFile(str(_kept_at(one, part))) as file:
            rows = pa.ipc.open_file(file).read_all().combine_chunks()
        written = _write_part(one, part, rows, wanted.within(first, first + len(rows)), locations)
        for address, of_part in written.items():
            paths[address] += of_part
        first += len(rows)
    if first <= max(numbers.max(initial=0) for numbers in (wanted.observed, wanted.standing)):
        raise RuntimeError(f"slice {one.number} of {one.endpoint} is no longer kept as a whole; run again")
    return paths


def _write_part(
    one: Slice, part: int, rows: pa.Table, wanted: Wanted, locations: Mapping[str, TableLocation]
) -> dict[str, list[str]]:
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
    sizes = observed["result_count"].fill_null(0).to_numpy()

    def results_of(numbers: np.ndarray) -> pa.Table:
        known = pa.array(known_at[numbers], pa.timestamp("us", tz="UTC"))
        named = [test_results.IN_OBSERVATIONS.get(name, name) for name in TEST_RESULTS.column_names]
        runs = observed.take(numbers).append_column("known_at", known).select(named)
        return explode(runs.rename_columns(TEST_RESULTS.column_names), list(test_results.IN_OBSERVATIONS))

    written: dict[str, list[str]] = {}
    for table, numbers, make in (
        (OBSERVATIONS, wanted.observed, observed.take),
        # A file without rows could not be appended: it has no partition.
        (TEST_RESULTS, wanted.standing[sizes[wanted.standing] > 0], results_of),
    ):
        location = locations[table.address]
        keys = observed.select([location.day_column, *location.sort_by]).take(numbers)
        written[table.address] = []
        for month, order in sort_by_month(keys, location):
            path = f"{location.folder}/{month}-{one.attempt}-{one.number:05}-{part:03}.parquet"
            chosen = numbers[order]
            write_file(one.storage.open(), path, location, in_parts(chosen, sizes[chosen], make))
            written[table.address].append(path)
    return written


def forget_slice(one: Slice) -> None:
    """Remove what is kept of a slice here, and the folder after the last one."""
    _whole_at(one).unlink(missing_ok=True)
    with suppress(OSError):
        for part in count():
            _kept_at(one, part).unlink()
    with suppress(OSError):
        kept_folder(one.attempt).rmdir()


def kept_folder(attempt: str) -> Path:
    """Return the folder in which a worker keeps what it has decoded for a build."""
    return _disk() / f"{_FOLDER}{attempt}"


def _disk() -> Path:
    """Return a folder on disk: Spark gives one to its workers; the temporary folder may be in memory."""
    given = os.environ.get("SPARK_LOCAL_DIRS", "").partition(",")[0]
    return Path(given) if given and Path(given).is_dir() else Path(tempfile.gettempdir())


def _kept_at(one: Slice, part: int) -> Path:
    return kept_folder(one.attempt) / f"{one.number}.{part}.arrow"


def _whole_at(one: Slice) -> Path:
    """Return the file that says that all parts of a slice are kept."""
    return kept_folder(one.attempt) / f"{one.number}.whole"


def _in_parts(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield batches of runs that have about ``PART_RESULTS`` results together; at least once, if none."""
    held: list[pa.RecordBatch] = []
    result_count = 0
    for batch in batches:
        held.append(batch)
        result_count += pc.sum(batch["result_count"]).as_py() or 0
        if result_count >= PART_RESULTS:
            yield held
            held, result_count = [], 0
    yield held


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
    """Remove what a killed command has left here."""
    for folder in _disk().glob(f"{_FOLDER}*"):
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - _LEFT_SECONDS:
                shutil.rmtree(folder)
