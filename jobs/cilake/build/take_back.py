"""The way back from a rebuild: its tables become what they were before it.

Results are marked before the first of core tables and unmarked after the last, so that what a kill leaves in
between is seen by whoever comes next, and finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.table.update.snapshot import ManageSnapshots

from cilake.build.core_tables import CORE
from cilake.build.half_published import find_unfinished, followed_half_published, mark_build, unmark
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.registry import table as contract
from cilake.errors import PermanentError
from cilake.lake.catalog import set_properties
from cilake.lake.snapshots import snapshot_id
from cilake.log import logger
from cilake.publish.restatements import Restatement, read_restatements
from cilake.publish.stop_points import pass_point

ROLLBACK = "rollback_"
"""What the ids of rollbacks begin with."""


class RollbackError(PermanentError):
    """A restatement that cannot be taken back; the message says why and what to do instead."""


def take_back(catalog: Catalog, restatement_id: str) -> None:
    """Make the tables of a restatement what they were before it, or, after a kill, those that are left.

    Raises:
        RollbackError: when there is no such rebuild, it was taken back already, a table was changed since, or
            what it was before is no longer kept.

    """
    undone = f"{ROLLBACK}{restatement_id}"
    known = read_restatements(catalog)
    rows = _rows_of(known, restatement_id)
    unfinished = found.restatement_id if (found := find_unfinished(catalog)) else ""
    if unfinished not in ("", restatement_id, undone):
        raise RollbackError(f"{unfinished} is half done: `cilake build core_ci` finishes it")
    is_begun = unfinished == undone
    back = {row["table_address"] for row in known if row["restatement_id"] == undone}
    if back == set(rows) and not is_begun:
        raise RollbackError(f"{restatement_id} was taken back already")
    if not unfinished and followed_half_published(catalog, restatement_id):
        raise RollbackError(
            f"before {restatement_id} the core tables were as a killed build left them: correct the code and "
            "rebuild the days instead (`cilake rebuild`)"
        )
    left = {address: row for address, row in rows.items() if address not in back}
    of_core = {table.address for table in CORE} & set(rows)
    moved = [
        address
        for address, row in left.items()
        if snapshot_id(catalog, contract(address)) != row["to_snapshot_id"]
    ]
    if moved and not is_begun:
        raise RollbackError(
            f"{', '.join(moved)} changed since {restatement_id}: going back would lose that; correct the "
            "code and rebuild the days instead (`cilake rebuild`)"
        )
    # Of core tables no more than files was merged since a rollback began: every build finishes that first.
    for address in set(moved) - of_core:
        logger.warning(f"{address} changed since, and stays as it is")
        del left[address]
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
    first, *_ = rows.values()
    days = str(first["from_date"]), str(first["until_date"])
    rollback = Restatement(undone, f"rollback of {restatement_id}", *days)
    if of_core:
        set_properties(catalog, TEST_RESULTS, mark_build(catalog, undone, rollback))
    for address, row in left.items():
        note = rollback.note(row["to_snapshot_id"], row["from_snapshot_id"], {})
        with catalog.load_table(address).transaction() as transaction:
            ManageSnapshots(transaction).set_current_snapshot(row["from_snapshot_id"]).commit()
            transaction.set_properties(note)
        logger.info(f"{address}: as before {restatement_id}")
        pass_point("publish", address)
    if of_core:
        unmark(catalog)


def _rows_of(known: Sequence[dict[str, Any]], restatement_id: str) -> dict[str, dict[str, Any]]:
    """Return by table what a rebuild restated."""
    if restatement_id.startswith(ROLLBACK):
        raise RollbackError(
            f"{restatement_id} is a rollback: what it took back is made again by `cilake rebuild`"
        )
    rows = {row["table_address"]: row for row in known if row["restatement_id"] == restatement_id}
    if not rows:
        listed = ", ".join(sorted({row["restatement_id"] for row in known})) or "there is none"
        raise RollbackError(f"no restatement {restatement_id!r}: {listed}")
    return rows
