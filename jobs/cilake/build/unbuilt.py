"""The payloads that a build has not worked on yet, whatever day they were landed for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.conversions import from_bytes
from pyiceberg.table import FileScanTask
from pyiceberg.table import Table as IcebergTable
from pyiceberg.types import TimestamptzType
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.contracts.model import Table
from cilake.lake.changes import built_from, mark_built
from cilake.lake.files import appended_files, read_files


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """The payloads of a raw table between two of its snapshots, both known at one moment."""

    table: Table
    present: IcebergTable
    since: int | None
    until: int
    has_late: bool

    @property
    def mark(self) -> dict[str, str]:
        """The property with which a table says that it is built from these payloads, too."""
        return mark_built(self.table, self.until)

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return how many payloads of each natural id there are, and their bytes."""
        sizes = self.read_here(("natural_id", "payload_bytes"))
        by_id = sizes.group_by("natural_id").aggregate([("payload_bytes", "count"), ("payload_bytes", "sum")])
        return {name: (count, size) for name, count, size in zip(*by_id.to_pydict().values(), strict=True)}

    def read_here(self, columns: Sequence[str]) -> pa.Table:
        """Return columns of the payloads, read in this process."""
        return read_files(self.present, self.paths(), columns)

    def paths(self) -> list[str]:
        """Return the files in which the payloads are."""
        if self.since is None:
            return [task.file.file_path for task in self.present.scan(snapshot_id=self.until).plan_files()]
        return [file.file_path for file in appended_files(self.present, self.since, self.until)]

    def read(self, spark: SparkSession) -> DataFrame:
        """Return the payloads."""
        if self.since is None:
            return spark.read.option("versionAsOf", str(self.until)).table(self.table.identifier)
        return (
            spark.read.option("start-snapshot-id", str(self.since))
            .option("end-snapshot-id", str(self.until))
            .table(self.table.identifier)
        )

    def read_following(self, spark: SparkSession, since: DataFrame) -> DataFrame:
        """Return the payloads that are built already and were served after an instant.

        ``since`` has a ``natural_id`` and its instant, ``late_at``, in each row.
        """
        built = spark.read.option("versionAsOf", str(self.since)).table(self.table.identifier)
        return built.join(F.broadcast(since), "natural_id").where("served_at > late_at").drop("late_at")


def find_unbuilt(catalog: Catalog, table: Table, consumer: Table) -> Unbuilt | None:
    """Return what the consumer has not built yet of a raw table; ``None`` when that is nothing."""
    present = catalog.load_table(table.address)
    head = present.current_snapshot()
    since = built_from(catalog, consumer, table)
    if head is None or head.snapshot_id == since:
        return None
    if since is None:
        return Unbuilt(table, present, None, head.snapshot_id, has_late=False)
    built = {task.file.file_path: task for task in present.scan(snapshot_id=since).plan_files()}
    tasks = {task.file.file_path: task for task in present.scan(snapshot_id=head.snapshot_id).plan_files()}
    new = [task for path, task in tasks.items() if path not in built]
    last = max((_bound(present, task, newest=True) for task in built.values()), default=0)
    first = min((_bound(present, task, newest=False) for task in new), default=last + 1)
    return Unbuilt(table, present, since, head.snapshot_id, has_late=first <= last)


def _bound(present: IcebergTable, task: FileScanTask, *, newest: bool) -> int:
    """Return the latest or the earliest ``served_at`` of a file, in microseconds."""
    field = present.schema().find_field("served_at").field_id
    bounds = task.file.upper_bounds if newest else task.file.lower_bounds
    return int(from_bytes(TimestamptzType(), bounds[field]))
