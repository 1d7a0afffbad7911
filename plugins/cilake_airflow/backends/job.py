"""What every back end is given: a verb of the command and the day to run it for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta

from airflow.sdk.exceptions import AirflowException

from cilake import windows
from cilake.windows import DayError


class WorkError(AirflowException):
    """The job failed with an exit code, and its log says why."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Job:
    """One call of the command, and where in Airflow it was made from.

    ``cycle`` counts how often the task was cleared and ``attempt`` its tries since then, from 1.
    """

    verb: tuple[str, ...]
    day: date
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    cycle: int = 0
    attempt: int = 1

    @property
    def arguments(self) -> list[str]:
        """The arguments of the ``cilake`` command."""
        end = self.day + timedelta(days=1)
        return [*self.verb, "--start", self.day.isoformat(), "--end", end.isoformat()]

    @property
    def name(self) -> str:
        """A short name for people, shown by the cluster."""
        return f"cilake {' '.join(self.verb)} {self.day.isoformat()}"

    def token(self, attempt: int) -> str:
        """Return the same 64 characters for the same attempt of the same task."""
        parts = (self.dag_id, self.run_id, self.task_id, str(self.cycle), str(attempt), *self.arguments)
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def parse_day(text: str) -> date:
    """Return the day that ``YYYY-MM-DD`` names.

    Raises:
        DayError: when it is missing or malformed, with the way out.

    """
    wanted = text.strip()
    if wanted in ("", "None"):
        raise DayError(
            "no day to process: trigger with a partition key or the parameter day, both YYYY-MM-DD"
        )
    return windows.parse_day(wanted)
