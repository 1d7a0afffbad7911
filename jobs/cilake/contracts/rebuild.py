"""Which rows of a table are made again when rows of its inputs change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Periods of a table that are made again whole: all rows with the same date in ``column``.

    A period begins on that date and is ``period_days`` long, 1 or 7; weeks begin on Monday. Its rows follow
    from the rows that its inputs have for its days and for ``lookback_days`` before them.
    """

    column: str
    period_days: int = 1
    lookback_days: int = 0

    def affected_by(self, days: Iterable[date]) -> list[date]:
        """Return the first days of the periods whose rows follow from rows of the given days, in order."""
        found: set[date] = set()
        for day in days:
            first = self._first_day(day)
            last = self._first_day(day + timedelta(days=self.lookback_days))
            found.update(
                first + timedelta(days=offset)
                for offset in range(0, (last - first).days + 1, self.period_days)
            )
        return sorted(found)

    def reach_of(self, periods: Iterable[date]) -> set[date]:
        """Return the days of the input rows from which the rows of these periods follow."""
        span = range(-self.lookback_days, self.period_days)
        return {first + timedelta(days=offset) for first in periods for offset in span}

    def _first_day(self, day: date) -> date:
        return day - timedelta(days=day.weekday()) if self.period_days == 7 else day


def by_day(column: str, *, lookback_days: int = 0) -> Rebuild:
    """Return a rebuild by single days."""
    return Rebuild(column, 1, lookback_days)


def by_week(column: str, *, lookback_days: int = 0) -> Rebuild:
    """Return a rebuild by weeks, of which ``column`` holds the Monday."""
    return Rebuild(column, 7, lookback_days)
