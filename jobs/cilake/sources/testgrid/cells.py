"""The results of a table as a list of cells: an empty stretch, however long, takes no memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from cilake.sources.errors import UnreadableError
from cilake.sources.testgrid.codes import OURS, STATUSES

MAX_COLUMNS = 0xFFFF
"""Columns of a table. The widest recorded has 1,409; a column's number fits into 16 bits, which sort fast."""


_NO_CODE = -1
"""Replaces every negative number; with it, and 127 for all above, codes fit into 8 bits."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells that hold a result, by row and newest first, which is also the order of their messages."""

    rows: np.ndarray
    columns: np.ndarray
    codes: np.ndarray
    messages: np.ndarray
    """Where the message of each cell is among all messages of the table."""

    def only(self, kept: np.ndarray) -> Cells:
        """Return the cells chosen by a mask or an order."""
        return Cells(*(part[kept] for part in (self.rows, self.columns, self.codes, self.messages)))

    def by_column(self) -> Cells:
        """Return the same cells column by column, in the order of the rows."""
        return self.only(np.argsort(self.columns, kind="stable"))

    def renumbered(self, numbers: np.ndarray) -> Cells:
        """Return the cells with the new number of each column."""
        return replace(self, columns=numbers[self.columns])

    def of_row(self, row: int) -> Cells:
        """Return the cells of one row, while they are sorted by row."""
        first, end = np.searchsorted(self.rows, (row, row + 1))
        return self.only(np.arange(first, end))


def read_cells(
    encoded: Sequence[list[dict[str, Any]]], message_counts: np.ndarray, columns: int
) -> tuple[Cells, set[int]]:
    """Return the results of run-length encoded rows, and the rows with a status code that nobody knows.

    Raises:
        UnreadableError: when a row does not cover the columns exactly, or has too few or many messages.

    """
    stretches = list(chain.from_iterable(encoded))
    lengths = list(map(itemgetter("count"), stretches))
    values = list(map(itemgetter("value"), stretches))
    if not set(map(type, lengths)) | set(map(type, values)) <= {int}:
        raise UnreadableError("not_a_table: a status code or run length is no whole number")
    counts = np.fromiter(lengths, np.int64, len(lengths))
    if len(counts) and (counts.min() < 0 or counts.max() > columns):
        raise UnreadableError("not_a_table: a run length is negative or longer than the table")
    codes = np.clip(np.fromiter(values, np.int64, len(values)), _NO_CODE, 127).astype(np.int8)
    per_row = np.fromiter(map(len, encoded), np.int64, len(encoded))
    ends = np.concatenate(([0], np.cumsum(counts)))
    covered = ends[np.cumsum(per_row)]
    if not np.array_equal(covered, columns * np.arange(1, len(encoded) + 1)):
        raise UnreadableError(f"not_a_table: a row does not cover the {columns} columns exactly")
    rows = np.repeat(np.arange(len(encoded), dtype=np.int32), per_row)
    filled = (codes != 0) & (counts > 0)
    starts, counts, rows, codes = ends[:-1][filled], counts[filled], rows[filled], codes[filled]
    # Each result has its own entry of the payload: the number of cells is bounded before they are made.
    if not np.array_equal(np.bincount(rows, counts, len(encoded)), message_counts):
        raise UnreadableError("not_a_table: messages and results of a row differ in number")
    unknown = set(rows[(codes < 0) | (codes > max(STATUSES))].tolist())
    # 32 bits hold every position: a payload has far fewer values.
    positions = np.arange(int(counts.sum()), dtype=np.int32)
    firsts = np.cumsum(counts) - counts
    to_column = (starts - rows.astype(np.int64) * columns - firsts).astype(np.int32)
    cells = Cells(
        rows=np.repeat(rows, counts),
        columns=(positions + np.repeat(to_column, counts)).astype(np.uint16),
        codes=np.repeat(OURS[np.maximum(codes, 0)], counts),
        messages=positions,
    )
    return cells, unknown
