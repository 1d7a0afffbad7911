"""Many payloads in slices: workers of Spark decode and write them, this process says what is written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from secrets import token_hex

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from cilake.build.decoding import DECODED_RUNS, RawTable
from cilake.build.slice_work import (
    DECODED,
    MAX_RUNS,
    Part,
    Slice,
    Wanted,
    decode_slice,
    forget_slice,
    write_slice,
)
from cilake.build.unbuilt import Unbuilt
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.model import Table
from cilake.lake.data_files import Storage, TableLocation, location_of
from cilake.publish.branch import FOOTERS_AT_ONCE, Files
from cilake.settings import Settings
from cilake.transforms.core.ci_run_observations import KEY
from cilake.transforms.engines import DuckEngine
from cilake.transforms.words import equal

SLICE_BYTES = 192 * 1024 * 1024
"""How many bytes of payloads a worker decodes at most, where no row group alone has more."""
_REPORT = pa.schema(
    [("slice", pa.int32()), ("part", pa.int32()), ("content", pa.binary()), ("error", pa.string())]
)
_PLACED = pa.schema(
    [*(DECODED_RUNS.field(name) for name in DECODED), ("slice", pa.int32()), ("number", pa.int64())]
)
_WANTED = f"""
WITH shown AS (SELECT *, known_at AS seen_at FROM decoded),
locations AS (
    SELECT {", ".join(KEY)}, min({{'day': landed_date, 'slice': slice, 'number': number}}) AS location
    FROM shown GROUP BY {", ".join(KEY)}
)
SELECT location.slice AS slice, location.number AS number, wanted.*
FROM locations JOIN wanted ON {equal("locations", "wanted", KEY)} ORDER BY slice, number
"""  # noqa: S608 - names are ours
"""Rows with where they are; of several locations the one that was landed first, as in ``keep_once``."""


@dataclass(frozen=True, slots=True)
class Slices:
    """Payloads in slices, each for one task of Spark."""

    spark: SparkSession
    attempt: str
    every: Sequence[Slice]

    def decode(self) -> pa.Table:
        """Return what the payloads show without results, and where each row is: ``slice``, ``number``.

        Raises:
            MemoryError: when they show too many runs.

        """
        parts, counts = [_PLACED.empty_table()], Counter[int]()
        for one, reported in self._work(partial(_decode, self.every)):
            rows = pa.ipc.open_stream(reported).read_all()
            numbers = np.arange(counts[one], counts[one] + len(rows))
            locations = (pa.repeat(pa.scalar(one, pa.int32()), len(rows)), pa.array(numbers))
            parts.append(pa.Table.from_arrays([*rows.columns, *locations], schema=_PLACED))
            counts[one] += len(rows)
            if counts.total() > MAX_RUNS:
                raise MemoryError(f"the payloads show more than {MAX_RUNS:,} runs")
        return pa.concat_tables(parts)

    def write(
        self, catalog: Catalog, decoded: pa.Table, *, added: pa.Table, standing: pa.Table
    ) -> dict[Table, Files]:
        """Write added observations, and the results of runs by their current observation; return files.

        Both are found by the key of an observation; ``standing`` says when it became known, too.

        Raises:
            MemoryError: when a worker lacks memory.

        """
        tables = (OBSERVATIONS, TEST_RESULTS)
        locations = {table.address: location_of(catalog.load_table(table.address), table) for table in tables}
        observed, runs = (
            DuckEngine().sql(_WANTED, decoded=decoded, wanted=wanted) for wanted in (added, standing)
        )
        wanted = {
            one.number: Wanted(
                _of_slice(observed, one)["number"].to_numpy(),
                (of_runs := _of_slice(runs, one))["number"].to_numpy(),
                of_runs["run_key"].to_numpy(),
                of_runs["known_at"].cast(pa.int64()).to_numpy(),
            )
            for one in self.every
        }
        reported = [
            json.loads(paths) for _, paths in self._work(partial(_write, self.every, wanted, locations))
        ]
        return {table: tuple(path for paths in reported for path in paths[table.address]) for table in tables}

    def forget(self) -> None:
        """Remove what workers keep, as far as they find it; writing removes it, too."""
        self._work(partial(_forget, self.every))

    def _work(
        self, work: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
    ) -> list[tuple[int, bytes]]:
        """Return what a function reports of each slice, in parts, from a separate task.

        Raises:
            MemoryError: when a worker lacks memory.

        """
        count = len(self.every)
        numbers = self.spark.range(0, count, 1, count)
        reported = numbers.mapInArrow(work, from_arrow_schema(_REPORT)).toArrow()  # type: ignore[arg-type]  # Iterable
        if errors := [error for error in reported["error"].to_pylist() if error]:
            raise MemoryError(errors[0])
        in_order = reported.sort_by([("slice", "ascending"), ("part", "ascending")])
        return list(zip(in_order["slice"].to_pylist(), in_order["content"].to_pylist(), strict=True))


def cut(spark: SparkSession, settings: Settings, unbuilt: Sequence[tuple[RawTable, Unbuilt]]) -> Slices:
    """Return payloads in slices of at most ``SLICE_BYTES``: neighbouring row groups of their files."""
    attempt = token_hex(8)
    every: list[Slice] = []
    for raw, payloads in unbuilt:
        for parts in _parts_of(payloads):
            origin = (raw.source.name, raw.endpoint)
            every.append(Slice(attempt, len(every), Storage.of(settings), *origin, parts))
    return Slices(spark, attempt, every)


def _parts_of(payloads: Unbuilt) -> list[tuple[Part, ...]]:
    """Return the files of payloads, cut where their bytes are too many for one slice."""

    def sizes_of(path: str) -> list[int]:
        with payloads.present.io.new_input(path).open() as file:
            footer = pq.read_metadata(file)
        return [footer.row_group(number).total_byte_size for number in range(footer.num_row_groups)]

    paths = sorted(payloads.paths())
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        sizes = dict(zip(paths, pool.map(sizes_of, paths), strict=True))
    cuts: list[dict[str, list[int]]] = []
    held = 0
    for path, of_groups in sizes.items():
        for group, size in enumerate(of_groups):
            if not cuts or held + size > SLICE_BYTES:
                cuts.append({})
                held = 0
            cuts[-1].setdefault(path, []).append(group)
            held += size
    return [tuple(Part(path, tuple(groups)) for path, groups in cut.items()) for cut in cuts]


def _of_slice(rows: pa.Table, one: Slice) -> pa.Table:
    return rows.filter(pc.equal(rows["slice"], one.number))


def _decode(every: Sequence[Slice], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    options = pa.ipc.IpcWriteOptions(compression="lz4")

    def report(one: Slice) -> Iterator[bytes]:
        for rows in decode_slice(one):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, rows.schema, options=options) as stream:
                stream.write_table(rows)
            yield sink.getvalue().to_pybytes()

    return _report(every, report, batches)


def _write(
    every: Sequence[Slice],
    wanted: Mapping[int, Wanted],
    locations: Mapping[str, TableLocation],
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    def report(one: Slice) -> Iterator[bytes]:
        paths = write_slice(one, wanted[one.number], locations)
        forget_slice(one)
        yield json.dumps(paths).encode()

    return _report(every, report, batches)


def _forget(every: Sequence[Slice], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    def report(one: Slice) -> Iterator[bytes]:
        forget_slice(one)
        yield b""

    return _report(every, report, batches)


def _report(
    every: Sequence[Slice], report: Callable[[Slice], Iterator[bytes]], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield what is reported of each slice, a part in each row, or that there is too little memory for it."""
    for batch in batches:
        for number in batch["id"].to_pylist():
            try:
                for part, reported in enumerate(report(every[number])):
                    yield _row(number, part, reported, "")
            except MemoryError as error:
                yield _row(number, 0, b"", str(error) or "a worker lacks memory")


def _row(number: int, part: int, reported: bytes, error: str) -> pa.RecordBatch:
    row = {"slice": number, "part": part, "content": reported, "error": error}
    return pa.RecordBatch.from_pylist([row], schema=_REPORT)
