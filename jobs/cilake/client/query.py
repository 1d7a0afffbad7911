"""What a read means: which columns, which days, as of when; pure, and checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches

from cilake.contracts.model import Table, partition_column
from cilake.contracts.registry import tables
from cilake.errors import CilakeError
from cilake.windows import parse_day


class LakeError(CilakeError, LookupError):
    """A question that the lake cannot answer; the message says which ones it can."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


def find_table(address: str) -> Table:
    """The contract of the table at ``address``.

    Raises:
        LakeError: naming the nearest tables.

    """
    known = tables()
    if address in known:
        return known[address]
    raise LakeError(f"no table {address!r}{_nearest(address, known)}; lake.tables() lists them all")


def check_columns(table: Table, columns: Sequence[str] | None) -> tuple[str, ...]:
    """The columns to read: all when none are named.

    Raises:
        LakeError: for a column the table does not have, naming the nearest.

    """
    if columns is None:
        return tuple(table.column_names)
    if isinstance(columns, str):
        columns = [columns]
    if unknown := [name for name in columns if name not in table.column_names]:
        hints = "; ".join(f"{name!r}{_nearest(name, table.column_names)}" for name in unknown)
        raise LakeError(f"{table.address} has no column {hints}; lake.describe({table.address!r}) lists them")
    return tuple(columns)


def day_column(table: Table) -> str | None:
    """The column that ``start`` and ``end`` are about: that of the partitions, else a date of the key."""
    candidates = [*map(partition_column, table.partition_by), *table.primary_key]
    types = {column.name: column.type for column in table.columns}
    return next((name for name in candidates if types[name] == "date"), None)


def day_filter(table: Table, start: str | date | None, end: str | date | None) -> str:
    """The condition for the days from ``start`` to before ``end``; empty when neither is given.

    Raises:
        LakeError: when the table has no days, or the range has none.

    """
    if start is None and end is None:
        return ""
    column = day_column(table)
    if column is None:
        raise LakeError(f"{table.address} has no day to start or end at: leave start and end out")
    first, last = (_day(day) for day in (start, end))
    if first and last and last <= first:
        raise LakeError(f"the range {first} to {last} has no day: end is the first day left out")
    parts = [f"{column} >= '{first}'"] if first else []
    parts += [f"{column} < '{last}'"] if last else []
    return " and ".join(parts)


def instant(as_of: str | date | datetime) -> datetime:
    """The instant that ``as_of`` names: itself, or the end of a day, UTC."""
    if isinstance(as_of, str):
        as_of = _time(as_of) if len(as_of) > len("2021-06-21") else parse_day(as_of)
    if isinstance(as_of, datetime):
        return as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
    return datetime.combine(as_of + timedelta(days=1), time.min, tzinfo=UTC) - timedelta(milliseconds=1)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise LakeError(f"{text!r} is no time: expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS") from None


def _day(day: str | date | None) -> date | None:
    if isinstance(day, datetime):
        return day.date()
    return parse_day(day) if isinstance(day, str) else day


def _nearest(name: str, known: Iterable[str]) -> str:
    found = get_close_matches(name, list(known), n=3, cutoff=0.5)
    # The name alone is often right when the namespace is missing or wrong.
    bare = name.rpartition(".")[2]
    found += [other for other in known if other.rpartition(".")[2] == bare and other not in found]
    return f" (nearest: {', '.join(found[:4])})" if found else ""
