"""The day in the id of a run, which is what Airflow's list of runs shows of it.

Airflow puts the partition key into the ids of scheduled runs and of backfills, behind the time, where the
list cuts it off, and not at all into those of runs that an asset, a person or the API triggers. It asks
nobody when it makes those, so the id is completed where every run passes: when its object is made.
"""

from __future__ import annotations

import re
import sys
from typing import Any

RUNS = "airflow.models.dagrun"
# Ids that Airflow made: the type and the time, then microseconds, eight random characters or both. What a
# client chose is left alone.
GENERATED = re.compile(
    r"(?P<type>[a-z_]+?)__(?P<time>\d{4}-\d{2}-\d{2}T[\d:]+(?P<fraction>\.\d{6})?[+\d:]*)"
    r"(__(?P<day>\d{4}-\d{2}-\d{2})(?=__))?(?P<random>_{1,2}[A-Za-z0-9]{8})?"
)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def show_days_in_run_ids() -> None:
    """Complete the ids of all runs that this process makes.

    Only the scheduler and the API server make runs, and they have loaded the model of a run; a task has not,
    and need not.
    """
    if RUNS not in sys.modules:
        return
    from sqlalchemy import event

    run = sys.modules[RUNS].DagRun
    if not event.contains(run, "init", _complete):
        event.listen(run, "init", _complete)


def with_day(run_id: str, partition_key: str | None) -> str:
    """Return the id with the day behind its type, or as it is when Airflow did not make it or for no day."""
    made = GENERATED.fullmatch(run_id)
    if made is None or not (made["fraction"] or made["random"]) or not DAY.fullmatch(partition_key or ""):
        return run_id
    if made["day"] not in (None, partition_key):
        return run_id
    return f"{made['type']}__{partition_key}__{made['time']}{made['random'] or ''}"


def _complete(run: object, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    if isinstance(named.get("run_id"), str):
        named["run_id"] = with_day(named["run_id"], named.get("partition_key"))
