"""A lake into which payloads are landed and in which they are built, also by processes that are killed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.support.builders import make_row
from tests.support.grids import dump, make_table
from tests.support.lake_session import LocalLake

from cilake.build import core, take_back
from cilake.build.core import FEW_BYTES, SLICED_BYTES
from cilake.contracts.raw.testgrid__tables import TABLE as PAYLOADS
from cilake.contracts.registry import made_by
from cilake.publish import branch, few
from cilake.publish.few import FEW_ROWS
from cilake.windows import Window

DAY = date(2021, 6, 25)
RUNNING = make_table({"Overall": [4, 1], "a": [0, 12]})
FINAL = make_table({"Overall": [12, 1], "a": [12, 12]})
"""The same runs later: the first was under way, and has failed."""
HALF = "publish:core.test_results"
"""The point at which results are published and their runs are not."""


def land(
    lake: LocalLake, table: dict[str, Any], *, hour: float = 0, tab: str = "board/tab", day: date = DAY
) -> None:
    """Store a payload that was served so many hours after the day began."""
    body = dump(table)
    served = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)
    row = make_row(PAYLOADS, natural_id=tab, payload=body, partition_date=day.isoformat()) | {
        "served_at": served,
        "fetched_at": served,
        "content_sha256": hashlib.sha256(body).hexdigest(),
        "payload_sha256": hashlib.sha256(body).hexdigest(),
    }
    lake.insert(PAYLOADS.address, [row])


def build(lake: LocalLake, day: date = DAY, **settings: Any) -> dict[str, int]:
    """Build what has landed; return the number of rows written to each table."""
    return core.build_core(replace(lake.settings, **settings), Window(day, day + timedelta(days=1)))


def statuses(lake: LocalLake) -> list[str]:
    """Return the statuses of all results in order."""
    return [row[0] for row in lake.rows("core.test_results", "test_status")]


def core_tables(lake: LocalLake) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the core tables say, without the observations that they follow from."""
    return {name: lake.rows(f"core.{name}") for name in ("ci_runs", "test_results", "tests", "ci_jobs")}


def kpi_tables(lake: LocalLake) -> dict[str, list[tuple[Any, ...]]]:
    """Return the tables about the health of jobs and tests."""
    return {table.address: lake.rows(table.address) for table in made_by("build_kpi_ci_health")}


WAYS = ("here", "slices", "spark")
"""How payloads are built: in the process of the command, by workers of Spark, or by Spark's own queries."""


def build_by(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Have payloads built in one of the ``WAYS``; where that is not here, no rows are few either."""
    for module, name, value in (
        (core, "FEW_BYTES", FEW_BYTES if way == "here" else 0),
        (core, "SLICED_BYTES", 0 if way == "spark" else SLICED_BYTES),
        (few, "FEW_ROWS", FEW_ROWS if way == "here" else 0),
    ):
        monkeypatch.setattr(module, name, value)


def exceed_memory(*_: Any, **__: Any) -> Any:
    """Do what work does that lacks memory."""
    raise MemoryError("too many rows")


class KilledError(BaseException):
    """The end of a process, as far as a test can have it in its own."""


def stop_points(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list: while it holds ``<step>:<table>``, work that passes that point is killed there.

    Each entry after it lets the command pass once.
    """
    stops: list[str] = []

    def stop(step: str, address: str) -> None:
        if stops and f"{step}:{address}" == stops[0]:
            if len(stops) == 1:
                raise KilledError
            stops.pop()

    for module in (branch, take_back):
        monkeypatch.setattr(module, "pass_point", stop)
    monkeypatch.setattr(branch.Branch, "drop", lambda self: None)  # a process that is killed drops nothing
    return stops
