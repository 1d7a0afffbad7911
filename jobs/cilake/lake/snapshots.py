"""Snapshots of tables as of one moment: chosen once, read as of them, and kept by a tag while needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.update.snapshot import ManageSnapshots
from pyspark.sql import DataFrame, SparkSession

from cilake.contracts.model import Table

_TAG_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Pins:
    """The current snapshots of some tables when a job began, by address; ``None``: never written."""

    snapshots: Mapping[str, int | None]

    def of(self, table: Table) -> int | None:
        """Return the pinned snapshot of a table."""
        return self.snapshots[table.address]

    def read(self, spark: SparkSession, table: Table) -> DataFrame:
        """Return a table as of its pinned snapshot."""
        pinned = self.snapshots[table.address]
        reader = spark.read if pinned is None else spark.read.option("versionAsOf", pinned)
        return reader.table(table.identifier)

    def tag(self, catalog: Catalog, table: Table, name: str, *, keep: timedelta) -> None:
        """Keep a table's pinned snapshot under a tag, from the snapshot's own instant on for ``keep``.

        A tag of that name that another try left is moved.
        """
        if (pinned := self.snapshots[table.address]) is not None:
            _tag(catalog, table, name, pinned, keep)


def snapshot_id(catalog: Catalog, table: Table) -> int | None:
    """Return the id of the table's current snapshot; ``None`` for a table never written."""
    head = catalog.load_table(table.address).current_snapshot()
    return head.snapshot_id if head else None


def pin(catalog: Catalog, *tables: Table) -> Pins:
    """Look up the current snapshots in the order given."""
    return Pins({table.address: snapshot_id(catalog, table) for table in tables})


def _tag(catalog: Catalog, table: Table, name: str, snapshot: int, keep: timedelta) -> None:
    for attempt in range(_TAG_ATTEMPTS):
        present = catalog.load_table(table.address)
        found = present.refs().get(name)
        if found is not None and found.snapshot_id == snapshot:
            return
        try:
            with present.transaction() as transaction:
                manage = ManageSnapshots(transaction)
                if found is not None and found.snapshot_ref_type == SnapshotRefType.TAG:
                    manage = manage.remove_tag(name)
                manage.create_tag(snapshot, name, max_ref_age_ms=int(keep.total_seconds() * 1000)).commit()
            return
        except CommitFailedException:
            # Another job changed the table at this moment; the tag is for its history, which is still there.
            if attempt + 1 == _TAG_ATTEMPTS:
                raise
