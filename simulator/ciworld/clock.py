"""The simulated clock: what time it is for the services that ciworld plays."""

import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime


def parse_instant(text: str) -> datetime:
    """Return the UTC instant of an ISO 8601 text; without an offset it is taken as UTC."""
    try:
        value = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"not an ISO 8601 instant: {text!r}") from error
    if not 1971 <= value.year <= 2200:
        raise ValueError(f"the year must be between 1971 and 2200: {text!r}")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def milliseconds(instant: datetime) -> int:
    """Return the instant as whole milliseconds since 1970."""
    return int(instant.timestamp() * 1000)


def iso(instant: datetime) -> str:
    """Return the UTC instant as RFC 3339 text."""
    return instant.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Span:
    """The first and the last day on which runs of a world start."""

    first: date
    last: date


class Clock:
    """A clock that does not move until it is set; without a time the services reply as of now."""

    def __init__(self, as_of: datetime | None = None):
        self._lock = threading.Lock()
        self._as_of = as_of

    @property
    def as_of(self) -> datetime | None:
        """Return the simulated time, or None when the clock is off."""
        with self._lock:
            return self._as_of

    def set(self, as_of: datetime | None) -> None:
        """Set the simulated time; None turns the clock off."""
        with self._lock:
            self._as_of = as_of

    def http_date(self) -> str:
        """Return the value of the HTTP Date header at the simulated time."""
        return format_datetime((self.as_of or datetime.now(UTC)).replace(microsecond=0), usegmt=True)
