"""Maintenance of the tables: many small files become one, what nothing needs any more is removed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table as IcebergTable
from pyspark.sql import Row, SparkSession

from cilake.contracts.registry import tables
from cilake.lake.catalog import open_catalog
from cilake.lake.profiles import CATALOG
from cilake.lake.session import spark_session
from cilake.log import logger
from cilake.publish.branch import AUDIT_PREFIX, opened_at
from cilake.publish.restatements import record_restatements
from cilake.settings import Settings
from cilake.windows import Window, day_start

MERGE_AT = 8
"""How many small files a partition may have before they are merged, and manifests a table."""
SMALL_BYTES = 64 * 1024 * 1024
ABANDONED_AFTER = timedelta(days=1)
"""How old what an audit branch holds is when no run can be working on it any more."""
ORPHANED_AFTER = timedelta(days=3)
"""How old a file is when no run can be about to commit it any more."""
LISTED = "prefix_listing => true"
"""All files in the table's folder: by its own I/O, as Hadoop has no file system for s3."""
SUNDAY = 6


def maintain_lake(settings: Settings, window: Window) -> dict[str, Any]:
    """Merge files and remove what nothing needs; return how many files, branches and snapshots.

    No row of a table changes. Snapshots stay for ``CILAKE_SNAPSHOT_DAYS`` before the end of the window, or
    now if that is earlier; files that no snapshot knows are looked for when a Sunday is in it. A table that
    a run may be writing is left alone until the next time.
    """
    catalog = open_catalog(settings)
    now = datetime.now(UTC)
    expires_at = min(day_start(window.end), now) - timedelta(days=settings.snapshot_days)
    done = Counter(merged_files=0, removed_branches=0, removed_snapshots=0, removed_files=0)
    with spark_session(settings, app_name=f"cilake maintain {window.start}") as spark:
        record_restatements(spark, catalog)  # of one that was killed, before its snapshots go
        for table in tables().values():
            present = catalog.load_table(table.address)
            counts = maintain_table(spark, table.identifier, present, expires_at=expires_at, now=now)
            if any(day.weekday() == SUNDAY for day in window.days):
                counts["removed_files"] += remove_orphans(spark, table.identifier, now=now)
            done.update(counts)
            if counts.total():
                done_to_it = ", ".join(f"{name} {count:,}" for name, count in counts.items())
                logger.info(f"{table.address}: {done_to_it}")
    return dict(done)


def maintain_table(
    spark: SparkSession, identifier: str, present: IcebergTable, *, expires_at: datetime, now: datetime
) -> Counter[str]:
    """Maintain one table as its metadata requires; return what was done. Nothing to do costs little."""
    done: Counter[str] = Counter()
    branches = {name: ref for name, ref in present.refs().items() if name.startswith(AUDIT_PREFIX)}
    head = present.current_snapshot()
    for name, ref in branches.items():
        written = present.snapshot_by_id(ref.snapshot_id)
        # A branch nobody wrote to yet is as old as the table's last change: its name says when it began.
        known = [opened_at(name), _instant(written.timestamp_ms) if written else None]
        since = max((instant for instant in known if instant), default=now)
        if since >= now - ABANDONED_AFTER or (written == head and not opened_at(name)):
            return done
        spark.sql(f"ALTER TABLE {identifier} DROP BRANCH IF EXISTS {name}")
        done["removed_branches"] += 1
    if head is None:
        return done
    manifests = head.manifests(present.io)
    if _max_small_files(present, manifests) >= MERGE_AT:
        options = f"'min-input-files', '{MERGE_AT}', 'max-concurrent-file-group-rewrites', '1'"
        (merged,) = _call(spark, "rewrite_data_files", identifier, f"options => map({options})")
        done["merged_files"] += merged.rewritten_data_files_count
    if len(manifests) >= MERGE_AT:
        _call(spark, "rewrite_manifests", identifier)
    # A tagged snapshot stays until its tag is too old, so it is nothing to do.
    tagged = {ref.snapshot_id for ref in present.refs().values() if ref.snapshot_ref_type == "tag"}
    due = [s for s in present.snapshots() if s.snapshot_id not in tagged]
    if sum(_instant(snapshot.timestamp_ms) < expires_at for snapshot in due) > 1:
        (gone,) = _call(spark, "expire_snapshots", identifier, f"older_than => {_literal(expires_at)}")
        done["removed_snapshots"] += len(present.snapshots()) - len(present.refresh().snapshots())
        done["removed_files"] += sum(count or 0 for count in gone)
    return done


def remove_orphans(spark: SparkSession, identifier: str, *, now: datetime, files: str = LISTED) -> int:
    """Remove old files that no snapshot knows; return how many. ``files`` says which there are."""
    older_than = f"older_than => {_literal(now - ORPHANED_AFTER)}"
    return len(_call(spark, "remove_orphan_files", identifier, older_than, files))


def _max_small_files(present: IcebergTable, manifests: list[ManifestFile]) -> int:
    """Return the number of small files in the partition that has most of them."""
    entries = (entry for manifest in manifests for entry in manifest.fetch_manifest_entry(present.io))
    files = (entry.data_file for entry in entries)
    small = Counter(repr(file.partition) for file in files if file.file_size_in_bytes < SMALL_BYTES)
    return max(small.values(), default=0)


def _call(spark: SparkSession, procedure: str, identifier: str, *arguments: str) -> list[Row]:
    """Call a procedure of the catalog; return its rows. Tables are named in full there."""
    args = ", ".join((f"table => '{identifier}'", *arguments))
    return spark.sql(f"CALL {CATALOG}.system.{procedure}({args})").collect()


def _literal(instant: datetime) -> str:
    return f"TIMESTAMP '{instant:%Y-%m-%d %H:%M:%S} UTC'"


def _instant(timestamp_ms: int) -> datetime:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
