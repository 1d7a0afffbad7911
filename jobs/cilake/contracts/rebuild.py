"""Which rows of a table are made again when rows of its inputs change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Periods of a table that are made again whole: all rows with the same date in ``column``.

    A period begins on that date and is ``period_days`` long, 1 or 7; weeks begin on Monday. Its rows follow
    from the rows that its inputs have for its days, for ``lookback_days`` before and ``lookahead_days`` after
    them. Of the inputs at the addresses in ``about`` only the rows of the same days count, and where these
    have none, neither has the table.
    """

    column: str
    period_days: int = 1
    lookback_days: int = 0
    lookahead_days: int = 0
    about: tuple[str, ...] = ()

    def affected_by(self, days: Iterable[date], source: str = "") -> list[date]:
        """Return the first days of the periods that follow from rows of these days in an input, in order."""
        back, ahead = self._reach(source)
        found: set[date] = set()
        for day in days:
            first = self._first_day(day - timedelta(days=ahead))
            last = self._first_day(day + timedelta(days=back))
            found.update(
                first + timedelta(days=offset)
                for offset in range(0, (last - first).days + 1, self.period_days)
            )
        return sorted(found)

    def reach_of(self, periods: Iterable[date], source: str = "") -> set[date]:
        """Return the days of the rows of an input from which the rows of these periods follow."""
        back, ahead = self._reach(source)
        span = range(-back, self.period_days + ahead)
        return {first + timedelta(days=offset) for first in periods for offset in span}

    def days_of(self, periods: Iterable[date]) -> set[date]:
        """Return the days of these periods."""
        return {first + timedelta(days=offset) for first in periods for offset in range(self.period_days)}

    def _reach(self, source: str) -> tuple[int, int]:
        return (0, 0) if source in self.about else (self.lookback_days, self.lookahead_days)

    def _first_day(self, day: date) -> date:
        return day - timedelta(days=day.weekday()) if self.period_days == 7 else day


def by_day(
    column: str, *, lookback_days: int = 0, lookahead_days: int = 0, about: tuple[str, ...] = ()
) -> Rebuild:
    """Return a rebuild by single days."""
    return Rebuild(column, 1, lookback_days, lookahead_days, about)


def by_week(column: str, *, lookback_days: int = 0) -> Rebuild:
    """Return a rebuild by weeks, of which ``column`` holds the Monday."""
    return Rebuild(column, 7, lookback_days)
