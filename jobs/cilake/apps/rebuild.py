"""``cilake rebuild`` and ``cilake rollback``: published tables made again for a reason, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pyiceberg.table.update.snapshot import ManageSnapshots

from cilake.apps.build import CORE, rebuild_core, rebuild_kpi
from cilake.apps.kpi import KPI
from cilake.apps.progress import say
from cilake.apps.restatements import Restatement, read_restatements, record_restatements
from cilake.errors import PermanentError, require_reason
from cilake.lake.catalog import open_catalog
from cilake.lake.publish import snapshot_id
from cilake.lake.session import spark_session
from cilake.settings import Settings
from cilake.windows import Window

REBUILT = {"core": (CORE, rebuild_core), "kpi": (KPI, rebuild_kpi)}
"""What can be made again, and the function that does it."""


class RollbackError(PermanentError):
    """A restatement that cannot be taken back; the message says why and what to do instead."""


def rebuild(settings: Settings, window: Window, *, address: str, reason: str) -> dict[str, Any]:
    """Make the tables again from the inputs of the window's days; record what that changed, and return it.

    Like a build it writes to branches, which are audited before they are published. What one that was killed
    or told to end has published is recorded by the next.

    Raises:
        PermanentError: when the reason is none.

    """
    require_reason(reason)
    _, work = REBUILT[address]
    catalog = open_catalog(settings)
    last = window.end - timedelta(days=1)
    restatement_id = f"{address}_{window.start}_{datetime.now(UTC):%Y%m%dT%H%M%S}"
    restatement = Restatement(restatement_id, reason, str(window.start), str(last))
    with spark_session(settings, app_name=f"rebuild {restatement_id}") as spark:
        record_restatements(spark, catalog)
        try:
            work(spark, settings, catalog, window, restatement)
        except Exception:  # what was published before a failure is restated, too
            record_restatements(spark, catalog)
            raise
        done = record_restatements(spark, catalog)
    return {"restatement_id": restatement_id, **done.get(restatement_id, {})}


def rollback(settings: Settings, restatement_id: str) -> dict[str, Any]:
    """Make the tables of a restatement what they were before it; record that, and return what it changed.

    One that was killed is finished by the next.

    Raises:
        RollbackError: when there is no such restatement, it was taken back already, a table was changed
            since, or what it was before is no longer kept.

    """
    catalog = open_catalog(settings)
    undone = f"rollback_{restatement_id}"
    with spark_session(settings, app_name=undone) as spark:
        record_restatements(spark, catalog)
        known = read_restatements(catalog)
        rows = {row["table_address"]: row for row in known if row["restatement_id"] == restatement_id}
        if not rows:
            listed = ", ".join(sorted({row["restatement_id"] for row in known})) or "there is none"
            raise RollbackError(f"no restatement {restatement_id!r}: {listed}")
        back = {row["table_address"] for row in known if row["restatement_id"] == undone}
        if back == set(rows):
            raise RollbackError(f"{restatement_id} was taken back already")
        by_address = {table.address: table for tables, _ in REBUILT.values() for table in tables}
        left = {address: row for address, row in rows.items() if address not in back}
        moved = [
            address
            for address, row in left.items()
            if snapshot_id(catalog, by_address[address]) != row["to_snapshot_id"]
        ]
        if moved:
            raise RollbackError(
                f"{', '.join(moved)} changed since {restatement_id}: going back would lose that; correct the "
                "code and rebuild the days instead (`cilake rebuild`)"
            )
        gone = [
            address
            for address, row in left.items()
            if catalog.load_table(address).snapshot_by_id(row["from_snapshot_id"]) is None
        ]
        if gone:
            raise RollbackError(
                f"{', '.join(gone)}: what was there before {restatement_id} is no longer kept; correct the "
                "code and rebuild the days instead (`cilake rebuild`)"
            )
        for address, row in left.items():
            days = str(row["from_date"]), str(row["until_date"])
            note = Restatement(undone, f"rollback of {restatement_id}", *days).note(
                row["to_snapshot_id"], row["from_snapshot_id"]
            )
            with catalog.load_table(address).transaction() as transaction:
                ManageSnapshots(transaction).rollback_to_snapshot(row["from_snapshot_id"]).commit()
                transaction.set_properties(note)
            say(f"{address}: as before {restatement_id}")
        done = record_restatements(spark, catalog)
    return {"restatement_id": undone, **done.get(undone, {})}
