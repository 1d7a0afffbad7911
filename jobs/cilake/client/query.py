"""What a read means: which columns, which days, as of when; pure, and checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from numbers import Integral

from cilake.contracts.model import Table
from cilake.contracts.registry import tables
from cilake.errors import CilakeError, PermanentError

Day = str | date
"""A day: an ISO date, a date, or a datetime at midnight UTC."""
Instant = str | date | datetime
"""An instant, or a day, which means its end; UTC where no zone is named."""

_DAY_END = time(23, 59, 59, 999_000)

HINTS = {
    "tables": "lake.tables() lists them all",
    "columns": "lake.describe({address!r}) lists them",
    "no_days": "leave `start` and `end` out",
    "day": "`{argument}` takes a day, YYYY-MM-DD",
    "whole_days": "`{argument}` takes whole days; compare instants in `where`",
    "empty_range": "`end` is exclusive",
    "as_of": "`as_of` takes YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS+HH:MM (UTC without a zone)",
    "published": "`as_of` is about when rows were published; for their days use `start` and `end`",
    "limit": "`limit` is at least 1",
    "where": "compare columns with =, <, >, in (…), between, like, is null; join them by and, or, not; "
    "`help(lake.read)` lists all forms",
    "values": "write days as '2026-02-20', instants as '2026-02-20T12:00:00+00:00', `like` with a last %; "
    "`help(lake.read)` says more",
}
"""What helps, by key, in the words of the library; the command line has its own for the same keys."""


class LakeError(PermanentError, LookupError):
    """A request that the lake refuses: what is wrong, and a hint that each front end words itself."""

    def __init__(self, problem: str, hint: str = "", **facts: object) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        return self.worded(HINTS)

    def worded(self, hints: Mapping[str, str]) -> str:
        """Return the message with the hint in the words of a front end."""
        return f"{self.problem}: {hints[self.hint].format(**self.facts)}" if self.hint else self.problem


class UnansweredError(LakeError):
    """A request that may succeed later: a service is down or has no room for it."""

    exit_code = CilakeError.exit_code


def find_table(address: str) -> Table:
    """Return the contract of the table at ``address``.

    Raises:
        LakeError: naming the nearest tables.

    """
    known = tables()
    if address in known:
        return known[address]
    raise LakeError(f"no table {address!r}{_nearest(address, known)}", "tables")


def check_columns(table: Table, columns: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns to read: all when none are named.

    Raises:
        LakeError: for a column the table does not have, naming the nearest.

    """
    if columns is None:
        return tuple(table.column_names)
    if isinstance(columns, str):
        columns = [columns]
    if unknown := [name for name in columns if name not in table.column_names]:
        hints = "; ".join(f"{name!r}{_nearest(name, table.column_names)}" for name in unknown)
        raise LakeError(f"{table.address} has no column {hints}", "columns", address=table.address)
    if not columns:
        raise LakeError(f"no column of {table.address} is requested", "columns", address=table.address)
    return tuple(columns)


def day_filter(table: Table, start: Day | None, end: Day | None) -> str:
    """Return the condition for the days from ``start`` to before ``end``; empty when neither is given.

    Raises:
        LakeError: when the table has no days, one of the two is no day, or the range is empty.

    """
    if start is None and end is None:
        return ""
    column = table.day_column
    if column is None:
        raise LakeError(f"{table.address} has no day to start or end at", "no_days")
    first, last = _day("start", start), _day("end", end)
    if first and last and last <= first:
        raise LakeError(f"empty range {first} to {last}", "empty_range")
    parts = [f"{column} >= '{first}'"] if first else []
    parts += [f"{column} < '{last}'"] if last else []
    return " and ".join(parts)


def instant(as_of: Instant) -> datetime:
    """Return the instant that ``as_of`` names: itself, or the end of a day, UTC.

    Raises:
        LakeError: when it is neither an instant nor a day, or is after today.

    """
    found = _parse(as_of)
    if found is None:
        raise LakeError(f"{as_of!r} is neither a day nor an instant", "as_of")
    if isinstance(found, datetime):
        moment = found if found.tzinfo else found.replace(tzinfo=UTC)
    else:
        moment = datetime.combine(found, _DAY_END, tzinfo=UTC)
    if moment > datetime.combine(datetime.now(UTC).date(), _DAY_END, tzinfo=UTC):
        raise LakeError(f"{as_of!r} is in the future: nobody knows the table as it will be", "as_of")
    return moment


def check_limit(limit: int | None) -> int | None:
    """Return the most rows to read, if there is a limit.

    Raises:
        LakeError: when it is not a positive integer.

    """
    if limit is not None and (not isinstance(limit, Integral) or isinstance(limit, bool) or limit < 1):
        raise LakeError(f"{limit!r} is not a number of rows", "limit")
    return None if limit is None else int(limit)


def _day(argument: str, given: Day | None) -> date | None:
    """Return the day that is given for an argument; a time of day would be lost and is refused."""
    if given is None:
        return None
    found = _parse(given)
    if found is None:
        raise LakeError(f"{given!r} is not a day", "day", argument=argument)
    if not isinstance(found, datetime):
        return found
    moment = found.astimezone(UTC) if found.tzinfo else found
    if moment.time() != time.min:
        raise LakeError(f"{given!r} is within a day", "whole_days", argument=argument)
    return moment.date()


def _parse(given: object) -> date | datetime | None:
    """Return the day or the instant that is given, in whatever type; nothing when it is neither."""
    if isinstance(given, str):
        for parse in (date.fromisoformat, datetime.fromisoformat):
            try:
                return parse(given)
            except ValueError:
                continue
        return None
    # A missing time of pandas calls itself a datetime, and is not even equal to itself.
    return given if isinstance(given, date) and given == given else None


def _nearest(name: str, known: Iterable[str]) -> str:
    found = get_close_matches(name, list(known), n=3, cutoff=0.5)
    # The name alone is often right when the namespace is missing or wrong.
    bare = name.rpartition(".")[2]
    found += [other for other in known if other.rpartition(".")[2] == bare and other not in found]
    return f" (nearest: {', '.join(found[:4])})" if found else ""
