"""Windows of days: half-open, in UTC, never read from a clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from cilake.errors import PermanentError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2999, 12, 31)


class DayError(PermanentError, ValueError):
    """What is no day, an empty range, or a day that has not begun."""


@dataclass(frozen=True, slots=True)
class Window:
    """The days from ``start`` (included) to ``end`` (excluded)."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise DayError(f"the window must end after it starts: {self.start} to {self.end}")

    @property
    def days(self) -> Iterator[date]:
        """Every day of the window, in order."""
        return (self.start + timedelta(days=offset) for offset in range((self.end - self.start).days))


def parse_window(start: str, end: str | None = None) -> Window:
    """Return the window from ISO days; without ``end``, the one day ``start``.

    Raises:
        DayError: when a day is malformed or the window is empty.

    """
    first = parse_day(start)
    if end:
        return Window(first, parse_day(end))
    return Window(first, first + timedelta(days=1))


def parse_day(text: str) -> date:
    """Return the day an ISO date such as ``2021-06-21`` names.

    Raises:
        DayError: when it names none, or one that no CI has seen.

    """
    try:
        day = date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        raise DayError(f"{text!r} is not a day; expected YYYY-MM-DD") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise DayError(f"{text!r} is out of range: days lie between {FIRST_DAY} and {LAST_DAY}")
    return day


def spans_of(days: Iterable[date]) -> list[tuple[date, date]]:
    """Return the first and last day of each span of days without a gap, in order."""
    spans: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if spans and day - spans[-1][1] <= timedelta(days=1):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def day_start(day: date) -> datetime:
    """Return the first instant of a UTC day."""
    return datetime.combine(day, time.min, tzinfo=UTC)


def known_until(day: date) -> datetime:
    """Return the instant until which what a source shows is part of a day's landing, not of a backfill.

    A night is landed after its day is over, and tried again for a while: a day longer.
    """
    return day_start(day + timedelta(days=2))
