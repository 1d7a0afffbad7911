"""The floor of landing and building: how fast one plain process turns recorded tables into cells.

A yardstick, not a pipeline: the least work that ends in a usable columnar file. It decompresses, parses,
undoes the run-length encoding, drops empty cells and writes one Parquet file, without scheduler, table
format, validation (but one check of consistency) or increments. By what factor the platform is slower is the
figure.

Input are dashboards at any depth: folders with a ``summary.json.gz``, in which every other ``*.json.gz`` is a
recorded ``/table`` reply named after its tab. Output is one row per cell whose code is not 0: ``job``,
``build_id``, ``started_at``, ``test``, ``status``.

Rows are ``{count, value}`` runs, six times fewer than cells: they leave the parsed JSON through iterators,
and ``numpy.repeat`` makes a byte matrix of a table at once. Strings go to Parquet as dictionaries, whose
indexes the writer takes as they are. The cyclic collector is off, as parsed JSON has no cycles.

``python benchmarks/floor.py DIR [DIR ...] [--out DIR] [--json]``; without ``--out`` the file is removed.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

SUMMARY_FILE = "summary.json.gz"
TABLE_SUFFIX = ".json.gz"
CELLS_FILE = "cells.parquet"

GZIP_WINDOW = 31  # zlib's code for "expect a gzip header"
CELLS_PER_ROW_GROUP = 1_000_000
# The default limit of 1 MiB would make the writer give up on the dictionary of test names.
DICTIONARY_PAGE_BYTES = 16 * 1024 * 1024

STAGES = ("gunzip", "json", "expand", "write")

_dictionary = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("job", _dictionary),
        ("build_id", _dictionary),
        ("started_at", pa.timestamp("ms", tz="UTC")),
        ("test", _dictionary),
        ("status", pa.int8()),
    ]
)

_statuses_of = itemgetter("statuses")
_name_of = itemgetter("name")
_count_of = itemgetter("count")
_value_of = itemgetter("value")


@dataclass(slots=True)
class TableCells:
    """The non-empty cells of one table; ``row`` and ``column`` index ``tests`` and ``builds``."""

    job: str
    builds: list[str]
    started_ms: np.ndarray
    tests: list[str]
    row: np.ndarray
    column: np.ndarray
    status: np.ndarray


@dataclass(slots=True)
class Report:
    """Everything the run is judged by."""

    tables: int = 0
    empty_tables: int = 0
    test_rows: int = 0
    columns: int = 0
    cells: int = 0
    non_empty_cells: int = 0
    bytes_read: int = 0
    bytes_json: int = 0
    bytes_written: int = 0
    cells_by_status: Counter[int] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    wall_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        by_status = dict(sorted(self.cells_by_status.items()))
        by_status[0] = self.cells - self.non_empty_cells
        return {
            "tables": self.tables,
            "empty_tables": self.empty_tables,
            "test_rows": self.test_rows,
            "columns": self.columns,
            "cells": self.cells,
            "non_empty_cells": self.non_empty_cells,
            "cells_by_status": {str(code): by_status[code] for code in sorted(by_status)},
            "seconds": {stage: round(spent, 3) for stage, spent in self.seconds.items()},
            "wall_seconds": round(self.wall_seconds, 3),
            "cells_per_second": round(self.cells / self.wall_seconds),
            "non_empty_cells_per_second": round(self.non_empty_cells / self.wall_seconds),
            "bytes_read": self.bytes_read,
            "bytes_json": self.bytes_json,
            "bytes_written": self.bytes_written,
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "versions": {
                "python": sys.version.split()[0],
                "numpy": np.__version__,
                "orjson": orjson.__version__,
                "pyarrow": pa.__version__,
            },
        }


def table_files(roots: list[Path]) -> Iterator[Path]:
    """Yield the table files of every dashboard below the given folders, in a fixed order."""
    for root in roots:
        for summary in sorted(root.rglob(SUMMARY_FILE)):
            for path in sorted(summary.parent.glob(f"*{TABLE_SUFFIX}")):
                if path.name != SUMMARY_FILE:
                    yield path


def expand(job: str, table: dict[str, Any]) -> TableCells | None:
    """Return the cells of one table that hold a result, without its run-length encoding.

    Returns ``None`` for a table without rows or columns.  Raises ``ValueError`` when a row does
    not cover the columns exactly, because every later row would then be shifted.
    """
    started_ms = np.array(table["timestamps"], dtype=np.int64)
    tests = table["tests"]
    columns = len(started_ms)
    if columns == 0 or not tests:
        return None

    encoded = list(map(_statuses_of, tests))
    runs = list(chain.from_iterable(encoded))
    counts = np.fromiter(map(_count_of, runs), np.int32, len(runs))
    values = np.fromiter(map(_value_of, runs), np.int8, len(runs))

    run_of_row_end = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
    covered = np.cumsum(counts, dtype=np.int64)[run_of_row_end - 1]
    if not np.array_equal(covered, columns * np.arange(1, len(tests) + 1)):
        raise ValueError(f"{job}: a row does not cover the {columns} columns")

    grid = np.repeat(values, counts).reshape(len(tests), columns)
    row, column = grid.nonzero()
    return TableCells(
        job=job,
        builds=table["changelists"],
        started_ms=started_ms,
        tests=list(map(_name_of, tests)),
        row=row,
        column=column,
        status=grid[row, column],
    )


class DictionaryColumn:
    """A string column in the making: indexes by table, and the distinct values they refer to.

    The values must be distinct.  Old builds are numbered from 1 in every job, so they do repeat
    between tables, and the Parquet writer answers a repeated value by spelling out every cell.
    """

    def __init__(self) -> None:
        self._position: dict[str, int] = {}
        self._indexes: list[np.ndarray] = []

    def add(self, values: list[str], pick: np.ndarray) -> None:
        """Append ``values[i]`` for every ``i`` in ``pick``."""
        position = self._position
        known = [position.setdefault(value, len(position)) for value in values]
        self._indexes.append(np.array(known, dtype=np.int32)[pick])

    def to_arrow(self) -> pa.DictionaryArray:
        """Return the column; its indexes need no second check, they were made right here."""
        indexes = pa.array(np.concatenate(self._indexes))
        values = pa.array(list(self._position), pa.string())
        return pa.DictionaryArray.from_arrays(indexes, values, safe=False)


def to_arrow(batch: list[TableCells]) -> pa.Table:
    """Return the cells of several tables together; the dictionaries are local to the batch."""
    jobs, builds, tests = DictionaryColumn(), DictionaryColumn(), DictionaryColumn()
    for cells in batch:
        jobs.add([cells.job], np.zeros(len(cells.status), dtype=np.intp))
        builds.add(cells.builds, cells.column)
        tests.add(cells.tests, cells.row)
    started_ms = np.concatenate([cells.started_ms[cells.column] for cells in batch])
    return pa.Table.from_arrays(
        [
            jobs.to_arrow(),
            builds.to_arrow(),
            pa.array(started_ms).cast(SCHEMA.field("started_at").type),
            tests.to_arrow(),
            pa.array(np.concatenate([cells.status for cells in batch])),
        ],
        schema=SCHEMA,
    )


def run(roots: list[Path], out: Path) -> Report:
    """Write every table below ``roots`` into ``out/cells.parquet``; return the cost."""
    report = Report()
    spent = report.seconds
    out.mkdir(parents=True, exist_ok=True)
    target = out / CELLS_FILE
    batch: list[TableCells] = []
    batched = 0

    def flush(writer: pq.ParquetWriter) -> None:
        nonlocal batched
        if batch:
            cells = to_arrow(batch)
            writer.write_table(cells, row_group_size=len(cells))
            batch.clear()
            batched = 0

    began = mark = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal mark
        now = time.perf_counter()
        spent[stage] += now - mark
        mark = now

    with pq.ParquetWriter(
        target,
        SCHEMA,
        compression="zstd",
        dictionary_pagesize_limit=DICTIONARY_PAGE_BYTES,
    ) as writer:
        for path in table_files(roots):
            packed = path.read_bytes()
            # A gzip file ends with its unpacked size: one buffer of the right size, no growing.
            size = int.from_bytes(packed[-4:], "little")
            text = zlib.decompress(packed, GZIP_WINDOW, size + 1)
            lap("gunzip")
            table = orjson.loads(text)
            lap("json")
            cells = expand(path.name.removesuffix(TABLE_SUFFIX), table)
            report.tables += 1
            report.bytes_read += len(packed)
            report.bytes_json += len(text)
            report.test_rows += len(table["tests"])
            report.columns += len(table["timestamps"])
            report.cells += len(table["tests"]) * len(table["timestamps"])
            if cells is None:
                report.empty_tables += 1
            else:
                tally = np.bincount(cells.status)
                report.cells_by_status.update({int(c): int(tally[c]) for c in tally.nonzero()[0]})
                report.non_empty_cells += len(cells.status)
                batch.append(cells)
                batched += len(cells.status)
            lap("expand")
            del table
            lap("json")
            if batched >= CELLS_PER_ROW_GROUP:
                flush(writer)
                lap("write")
        flush(writer)
    lap("write")
    report.wall_seconds = time.perf_counter() - began
    report.bytes_written = target.stat().st_size
    return report


def as_text(figures: dict[str, Any]) -> str:
    """Return the figures as text for a reader."""
    split = ", ".join(f"{stage} {spent:.2f}" for stage, spent in figures["seconds"].items())
    codes = ", ".join(f"{code}: {count:,}" for code, count in figures["cells_by_status"].items())
    return "\n".join(
        [
            f"tables           {figures['tables']:>14,}  ({figures['empty_tables']} empty)",
            f"tests rows       {figures['test_rows']:>14,}",
            f"columns          {figures['columns']:>14,}",
            f"cells            {figures['cells']:>14,}",
            f"non-empty cells  {figures['non_empty_cells']:>14,}",
            f"by status        {codes}",
            f"seconds          {figures['wall_seconds']:>14.2f}  ({split})",
            f"cells per second {figures['cells_per_second']:>14,}"
            f"  ({figures['non_empty_cells_per_second']:,} non-empty)",
            f"bytes read       {figures['bytes_read']:>14,}  ({figures['bytes_json']:,} of JSON)",
            f"bytes written    {figures['bytes_written']:>14,}",
            f"peak RSS         {figures['peak_rss_mib']:>14,}  MiB",
        ]
    )


def main() -> None:
    """Run once as the command line says, and print the figures."""
    parser = argparse.ArgumentParser(description="Time a bare TestGrid conversion.")
    parser.add_argument("roots", nargs="+", type=Path, metavar="DIR", help="folder with dashboards")
    parser.add_argument("--out", type=Path, help="keep cells.parquet in this folder")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    for root in arguments.roots:
        if next(table_files([root]), None) is None:
            parser.error(f"no dashboard (folder with {SUMMARY_FILE}) below {root}")

    gc.disable()
    if arguments.out:
        report = run(arguments.roots, arguments.out)
    else:
        with tempfile.TemporaryDirectory(prefix="cilake_floor_") as folder:
            report = run(arguments.roots, Path(folder))
    figures = report.as_dict()
    print(json.dumps(figures, indent=2) if arguments.json else as_text(figures))


if __name__ == "__main__":
    main()
