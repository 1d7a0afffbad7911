"""The record of every run of a job: which tables it brought up to date, when, and how long it took."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pyiceberg.exceptions import NoSuchTableError

from cilake.contracts.ops.table_updates import TABLE as TABLE_UPDATES
from cilake.contracts.registry import made_by
from cilake.errors import PermanentError
from cilake.lake.catalog import newest_date, open_catalog
from cilake.lake.records import append_rows
from cilake.settings import Settings
from cilake.windows import Window


class MissingTableError(PermanentError):
    """A table that is declared and was never created."""


Work = Callable[[Settings, Window], dict[str, Any]]


def run_recorded(work: Work, settings: Settings, window: Window, *, verb: str, of: str) -> dict[str, Any]:
    """Run the step ``<verb>_<of>`` and return its counts.

    Each table that the step makes gets a row of ``ops.table_updates``, also when the step fails.

    Raises:
        MissingTableError: when the step reads a table that does not exist.

    """
    started_at = datetime.now(UTC)
    head = {
        "made_by": f"{verb}_{of}",
        "command": f"{verb} {of}",
        "partition_date": window.start,
        "started_at": started_at,
        "run_url": settings.run_url or None,
    }
    try:
        counts = work(settings, window)
    except NoSuchTableError as error:
        missing = MissingTableError(f"{error}: `cilake bootstrap` creates the tables that are missing")
        _record_failure(settings, head, missing)
        raise missing from error
    except BaseException as error:
        _record_failure(settings, head, error)
        raise
    _append(settings, head | {"update_status": "succeeded", "error_type": None}, counts)
    return counts


def _record_failure(settings: Settings, head: dict[str, Any], error: BaseException) -> None:
    """Append the failure to the table, or add to its error why that cannot be."""
    try:
        _append(settings, head | {"update_status": "failed", "error_type": type(error).__name__}, {})
    except Exception as unrecorded:
        if str(unrecorded) != str(error):
            reason = (str(unrecorded) or type(unrecorded).__name__).splitlines()[0]
            error.add_note(f"and the failure is not in {TABLE_UPDATES.address}: {reason}")


def _append(settings: Settings, head: dict[str, Any], counts: dict[str, Any]) -> None:
    finished_at = datetime.now(UTC)
    catalog = open_catalog(settings)
    rows: list[dict[str, object]] = [
        head
        | {
            "table_address": table.address,
            "finished_at": finished_at,
            "run_seconds": (finished_at - head["started_at"]).total_seconds(),
            "written_count": counts.get(table.address),
            "newest_date": newest_date(catalog, table),
            "slo_hours": table.freshness_hours,
        }
        for table in made_by(head["made_by"])
    ]
    append_rows(catalog, TABLE_UPDATES.address, rows)
