"""Write, audit, publish: a change reaches ``main`` as the very snapshot that was audited, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from secrets import token_hex

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import BooleanExpression
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.update.snapshot import ManageSnapshots
from pyspark.sql import DataFrame, DataFrameReader, SparkSession

from cilake.contracts.model import Table
from cilake.errors import CilakeError
from cilake.lake.files import appended_files, count_values, read_files
from cilake.publish.few import FEW_VALUES, is_few
from cilake.publish.stop_points import pass_point

AUDIT_PREFIX = "audit_"
"""What the names of audit branches begin with."""
_TRY = re.compile(r"_(\d{8}T\d{6})_[0-9a-f]{8}$")


class PublishError(CilakeError, RuntimeError):
    """A branch that cannot be published: another writer changed the table or the branch meanwhile."""


Files = tuple[str, ...]
"""Paths of data files, written to the folder of a table and not part of it yet."""
FOOTERS_AT_ONCE = 16
"""So many files are read at a time where only its statistics are read."""
Note = Callable[[int, int, Mapping[str, str]], Mapping[str, str]]
"""Properties of a commit, from the snapshots before and after it and the properties that the table has."""


@dataclass(frozen=True, slots=True)
class Branch:
    """An audit branch of one table: from ``base`` on, and once sealed up to ``head``, both snapshot ids."""

    spark: SparkSession
    catalog: Catalog
    table: Table
    name: str
    base: int
    head: int | None = None

    @property
    def target(self) -> str:
        """The identifier that writes go to."""
        return f"{self.table.identifier}.branch_{self.name}"

    def append(self, rows: DataFrame | pa.Table | Files) -> None:
        """Add rows: in Spark, from here, or those in files that are written already, in one commit each."""
        if isinstance(rows, tuple):
            self._append_files(rows)
        elif isinstance(rows, pa.Table):
            self._loaded().append(rows, branch=self.name)
        else:
            rows.writeTo(self.target).append()

    def _append_files(self, paths: Files) -> None:
        present = self._loaded()

        def describe(path: str) -> DataFile:
            return parquet_file_to_data_file(present.io, present.metadata, path)

        with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
            described = list(pool.map(describe, paths))
        with present.transaction() as transaction:
            snapshot = transaction.update_snapshot(branch=self.name)
            with snapshot.fast_append() as appended:
                for file in described:
                    appended.append_data_file(file)

    def delete(self, condition: str | BooleanExpression) -> None:
        """Remove the rows that meet a condition: in Spark where it is SQL, else from here, file by file.

        Raises:
            TypeError: of a ledger, of which no row is ever removed.

        """
        if self.table.write_mode == "ledger":
            raise TypeError(f"{self.table.address} is a ledger: its rows are never removed")
        if isinstance(condition, str):
            self.spark.sql(f"DELETE FROM {self.target} WHERE {condition}")  # noqa: S608 - conditions are ours
        else:
            self._loaded().delete(condition, branch=self.name)

    def remove(self, files: Sequence[DataFile]) -> None:
        """Remove files and all their rows, in one commit."""
        with (
            self._loaded().transaction() as transaction,
            transaction.update_snapshot(branch=self.name).overwrite() as change,
        ):
            for file in files:
                change.delete_data_file(file)

    def require_base(self, snapshot: int | None) -> None:
        """Check that the branch begins with a snapshot, or with an empty table where there is ``None``.

        Raises:
            PublishError: when another writer changed the table between that look at it and this branch.

        """
        if self.base != snapshot and (snapshot is not None or self._row_count_of(self.base)):
            raise PublishError(f"{self.table.address} was changed by another run meanwhile; run again")

    def seal(self) -> Branch:
        """Return the branch as it is now: what is audited and published is this snapshot, no later one."""
        return replace(self, head=self._loaded().refs()[self.name].snapshot_id)

    def appended(self) -> DataFrame | pa.Table:
        """Return the rows that were appended to the branch before it was sealed: here where they are few."""
        present = self._loaded()
        paths = [file.file_path for file in appended_files(present, self.base, self.sealed)]
        if is_few(self.appended_count) and count_values(present, paths) <= FEW_VALUES:
            return read_files(present, paths, [field.name for field in present.schema().fields])
        return self._reader().option("start-snapshot-id", str(self.base)).table(self.table.identifier)

    @property
    def appended_count(self) -> int:
        """The number of rows that were appended to the branch before it was sealed."""
        files = appended_files(self._loaded(), self.base, self.sealed)
        return sum(file.record_count for file in files)

    def rows(self) -> DataFrame:
        """Return all rows of the table as they will be once the sealed branch is published."""
        return self.spark.read.option("versionAsOf", str(self.sealed)).table(self.table.identifier)

    @property
    def row_count(self) -> int:
        """The number of rows of the table as it will be once the sealed branch is published."""
        return self._row_count_of(self.sealed)

    def _row_count_of(self, snapshot_id: int) -> int:
        snapshot = self._loaded().snapshot_by_id(snapshot_id)
        assert snapshot is not None and snapshot.summary is not None
        return int(snapshot.summary["total-records"] or 0)

    def publish(self, properties: Mapping[str, str] | None = None) -> None:
        """Make ``main`` the sealed snapshot, set properties of the table and drop the branch, in one commit.

        Raises:
            PublishError: when ``main`` is no longer what the branch began with, or the branch went on.

        """
        present = self._loaded()
        head = self.sealed
        if (found := present.refs().get(self.name)) is None or found.snapshot_id != head:
            raise PublishError(f"{self.table.address}: {self.name} was changed after its audit; run again")
        current = present.current_snapshot()
        # Not any ancestor: a rollback meanwhile would be undone.
        if current is None or current.snapshot_id != self.base:
            raise PublishError(f"{self.table.address} was changed by another run meanwhile; run again")
        # The commit is refused when another one comes between this look and it.
        with present.transaction() as transaction:
            ManageSnapshots(transaction).set_current_snapshot(snapshot_id=head).remove_branch(
                self.name
            ).commit()
            if properties:
                transaction.set_properties(dict(properties))

    def drop(self) -> None:
        """Drop the branch if it exists; what it wrote is left to expiry."""
        _drop(self._loaded(), [self.name])

    def _loaded(self) -> IcebergTable:
        return self.catalog.load_table(self.table.address)

    def _reader(self) -> DataFrameReader:
        return self.spark.read.option("end-snapshot-id", str(self.sealed))

    @property
    def sealed(self) -> int:
        """The snapshot that is audited and published.

        Raises:
            ValueError: when the branch is not sealed.

        """
        if self.head is None:
            raise ValueError(f"{self.name} of {self.table.address} is not sealed")
        return self.head


def open_branch(spark: SparkSession, catalog: Catalog, table: Table, run_id: str) -> Branch:
    """Create a branch off the current ``main`` for one try of a run; drop those that earlier tries left.

    No two tries share a branch: what a killed try still has under way on a server ends on a branch that
    nobody publishes.
    """
    stem = AUDIT_PREFIX + re.sub(r"\W", "_", run_id)
    present = catalog.load_table(table.address)
    left = [name for name in present.refs() if (found := _TRY.search(name)) and name[: found.start()] == stem]
    _drop(present, left)
    if present.current_snapshot() is None:  # a branch needs a snapshot to begin with
        with present.transaction() as transaction, transaction.update_snapshot().fast_append():
            pass
    base = present.refresh().current_snapshot()
    assert base is not None
    name = f"{stem}_{datetime.now(UTC):%Y%m%dT%H%M%S}_{token_hex(4)}"
    with present.transaction() as transaction:
        ManageSnapshots(transaction).create_branch(base.snapshot_id, name).commit()
    pass_point("open", table.address)
    return Branch(spark, catalog, table, name, base.snapshot_id)


def opened_at(branch_name: str) -> datetime | None:
    """Return when a branch was opened, by its name; ``None`` for a name that does not say it."""
    found = _TRY.search(branch_name)
    return datetime.strptime(f"{found[1]}+0000", "%Y%m%dT%H%M%S%z") if found else None


def write_audit_publish(
    branches: list[Branch],
    write: Callable[[Branch], None],
    audit: Callable[[Branch], None],
    *,
    reconcile: Callable[[Mapping[str, Branch]], None] | None = None,
    properties: Mapping[str, Mapping[str, str]] | None = None,
    note: Note | None = None,
) -> None:
    """Write, seal and audit every branch, reconcile them, then publish them in the order given.

    ``audit`` of a branch and ``reconcile`` of all, by address, raise to stop everything before anything is
    published; the branches are dropped either way.
    ``properties`` of a table, by address, are set in the commit that publishes it, and so is what ``note``
    makes of the snapshots before and after and of the properties that the table has.
    """
    sealed: list[Branch] = []
    try:
        for branch in branches:
            write(branch)
            sealed.append(branch.seal())
            pass_point("write", branch.table.address)
        for branch in sealed:
            audit(branch)
            pass_point("audit", branch.table.address)
        if reconcile:
            reconcile({branch.table.address: branch for branch in sealed})
        for branch in sealed:
            of_table = (properties or {}).get(branch.table.address, {})
            present = branch.catalog.load_table(branch.table.address).properties
            noted = note(branch.base, branch.sealed, present) if note else {}
            branch.publish({**of_table, **noted})
            pass_point("publish", branch.table.address)
    except BaseException:
        for branch in branches:
            branch.drop()
        raise


def _drop(present: IcebergTable, names: list[str]) -> None:
    known = [name for name in names if name in present.refs()]
    if not known:
        return
    with present.transaction() as transaction:
        manage = ManageSnapshots(transaction)
        for name in known:
            manage = manage.remove_branch(name)
        manage.commit()
