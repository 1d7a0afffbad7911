"""Decisions divided by time: what a challenger learns from, and what it is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

EVALUATED_RATIO = 0.25


class ShortHistory(Exception):
    """There is too little to learn from so far; the message says what is missing."""


@dataclass(frozen=True)
class Split:
    """The challenger is trained on the earlier decisions and measured on the later ones."""

    evaluated_from: datetime
    evaluated_until: datetime
    earlier: pa.Table
    later: pa.Table


def evaluation_start(first: datetime, last: datetime, *, days: int) -> datetime:
    """Return when the evaluation begins: the latest ``days``, of less history the latest quarter."""
    return last - min(timedelta(days=days), (last - first) * EVALUATED_RATIO)


def split_by_time(decisions: pa.Table, at: datetime, day: date, *, order: Sequence[str]) -> Split:
    """Split decisions known by the end of the day into those before an instant and the others, in one order.

    The order, by unique columns of which ``started_at`` is the first, makes a training repeat to the last bit
    whatever order the decisions came in.

    Raises:
        ShortHistory: when one of the two parts is empty.

    """
    sort_keys = [(name, "ascending") for name in order]
    rows = pc.sort_indices(decisions.select(list(order)), sort_keys=sort_keys)
    started = decisions["started_at"]
    earlier_count = pc.sum(pc.less(started, pa.scalar(at, started.type))).as_py() or 0
    earlier, later = decisions.take(rows[:earlier_count]), decisions.take(rows[earlier_count:])
    for part, side in ((earlier, "before"), (later, "from")):
        if not part.num_rows:
            raise ShortHistory(f"no decision known by the end of {day} is {side} {at:%Y-%m-%d %H:%M} on")
    return Split(at, pc.max(started).as_py(), earlier, later)
