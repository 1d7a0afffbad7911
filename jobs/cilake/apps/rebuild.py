"""``cilake rebuild`` and ``cilake rollback``: published tables made again for a reason, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.table.update.snapshot import ManageSnapshots
from pyspark.sql import SparkSession

from cilake.apps.build import CORE, KPI, rebuild_core, rebuild_kpi
from cilake.apps.progress import say
from cilake.contracts.model import Table
from cilake.contracts.ops.restatements import TABLE as RESTATEMENTS
from cilake.errors import PermanentError
from cilake.lake.catalog import open_catalog
from cilake.lake.publish import snapshot_id
from cilake.lake.records import append_rows
from cilake.lake.session import spark_session
from cilake.settings import Settings
from cilake.windows import Window

REBUILT = {"core": (CORE, rebuild_core), "kpi": (KPI, rebuild_kpi)}
"""What can be made again, and the function that does it."""


class RollbackError(PermanentError):
    """A restatement that cannot be taken back; the message says why and what to do instead."""


def rebuild(settings: Settings, window: Window, *, address: str, reason: str) -> dict[str, Any]:
    """Make the tables again from the inputs of the window's days; record what that changed, and return it.

    Like a build it writes to branches, which are audited before they are published.
    """
    tables, work = REBUILT[address]
    catalog = open_catalog(settings)
    before = {table: snapshot_id(catalog, table) for table in tables}
    restatement_id = f"{address}_{window.start}_{datetime.now(UTC):%Y%m%dT%H%M%S}"
    with spark_session(settings, app_name=f"rebuild {restatement_id}") as spark:
        try:
            work(spark, settings, catalog, window)
        finally:  # what was published before a failure is restated, too
            last = window.end - timedelta(days=1)
            counts = _record(spark, catalog, before, restatement_id, reason, (window.start, last))
    return {"restatement_id": restatement_id, **counts}


def rollback(settings: Settings, restatement_id: str) -> dict[str, Any]:
    """Make the tables of a restatement what they were before it; record that, and return what it changed.

    Raises:
        RollbackError: when there is no such restatement, or a table was changed since.

    """
    catalog = open_catalog(settings)
    known = catalog.load_table(RESTATEMENTS.address).scan().to_arrow().to_pylist()
    rows = [row for row in known if row["restatement_id"] == restatement_id]
    if not rows:
        listed = ", ".join(sorted({row["restatement_id"] for row in known})) or "there is none"
        raise RollbackError(f"no restatement {restatement_id!r}: {listed}")
    by_address = {table.address: table for tables, _ in REBUILT.values() for table in tables}
    before = {by_address[row["table_address"]]: row["to_snapshot_id"] for row in rows}
    if moved := [t.address for t, snapshot in before.items() if snapshot_id(catalog, t) != snapshot]:
        raise RollbackError(
            f"{', '.join(moved)} changed since {restatement_id}: going back would lose that; correct the "
            "code and rebuild the days instead (`cilake rebuild`)"
        )
    for row in rows:
        with catalog.load_table(row["table_address"]).transaction() as transaction:
            ManageSnapshots(transaction).rollback_to_snapshot(row["from_snapshot_id"]).commit()
        say(f"{row['table_address']}: as before {restatement_id}")
    undone = f"rollback_{restatement_id}"
    days = rows[0]["from_date"], rows[0]["until_date"]
    with spark_session(settings, app_name=undone) as spark:
        counts = _record(spark, catalog, before, undone, f"rollback of {restatement_id}", days)
    return {"restatement_id": undone, **counts}


def _record(
    spark: SparkSession,
    catalog: Catalog,
    before: Mapping[Table, int | None],
    restatement_id: str,
    reason: str,
    days: tuple[date, date],
) -> dict[str, dict[str, int]]:
    """Append a row for each table that is not what it was; return the rows removed and added, by address."""
    rows: list[dict[str, object]] = []
    for table, old in before.items():
        new = snapshot_id(catalog, table)
        if new is None or old is None or new == old:
            continue
        removed, added = _differing(spark, table, (old, new)), _differing(spark, table, (new, old))
        if not removed and not added:
            continue
        rows.append(
            {
                "restatement_id": restatement_id,
                "table_address": table.address,
                "reason": reason,
                "from_date": days[0],
                "until_date": days[1],
                "from_snapshot_id": old,
                "to_snapshot_id": new,
                "removed_count": removed,
                "added_count": added,
                "restated_at": datetime.now(UTC),
            }
        )
        say(f"{table.address}: {removed:,} rows removed, {added:,} added")
    append_rows(catalog, RESTATEMENTS.address, rows)
    return {
        str(row["table_address"]): {
            "removed": int(str(row["removed_count"])),
            "added": int(str(row["added_count"])),
        }
        for row in rows
    }


def _differing(spark: SparkSession, table: Table, snapshots: Sequence[int]) -> int:
    """Count the rows of the first snapshot that are not in the second."""
    one, other = (
        spark.read.option("versionAsOf", str(snapshot)).table(table.identifier) for snapshot in snapshots
    )
    return one.exceptAll(other).count()
