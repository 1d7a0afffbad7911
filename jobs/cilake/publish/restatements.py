"""The record of what a rebuild or a rollback changed, which no kill can lose.

The commit that changes a table notes in a property of it what it is for. Whoever comes next, at the latest
the maintenance, adds the row to ``ops.restatements`` and takes the note away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.model import Table
from cilake.contracts.ops.restatements import TABLE as RESTATEMENTS
from cilake.contracts.registry import tables
from cilake.lake.catalog import arrow_schema
from cilake.lake.records import check
from cilake.lake.snapshots import Pins
from cilake.log import logger
from cilake.windows import Window, parse_day

NOTE = "cilake.restatement"
"""The property of a table with a restatement that is not in ``ops.restatements`` yet."""
KEPT = timedelta(days=400)
"""How long the tags ``<restatement_id>_before`` and ``_after`` of a table keep the rows to compare."""


@dataclass(frozen=True, slots=True)
class Restatement:
    """A rebuild or a rollback: its id, why, and the first and last day that it makes again."""

    restatement_id: str
    reason: str
    from_date: str
    until_date: str

    @property
    def window(self) -> Window:
        """The days that it makes again."""
        return Window(parse_day(self.from_date), parse_day(self.until_date) + timedelta(days=1))

    def note(self, before: int, after: int, present: Mapping[str, str]) -> dict[str, str]:
        """Return the property that a commit sets which makes snapshot ``after`` of ``before``.

        Where the table's ``present`` properties note an earlier commit of the same restatement, as of another
        model's rows, what both changed is noted.
        """
        noted = json.loads(present.get(NOTE, "{}"))
        first = noted["from_snapshot_id"] if noted.get("restatement_id") == self.restatement_id else before
        return {NOTE: json.dumps(asdict(self) | {"from_snapshot_id": first, "to_snapshot_id": after})}


def record_restatements(spark: SparkSession, catalog: Catalog) -> dict[str, dict[str, dict[str, int]]]:
    """Move the notes in all tables to ``ops.restatements``, and tag what they were before and after.

    Returns by restatement and table the rows that were ``removed`` and ``added``.
    """
    known = {_key(row): row for row in read_restatements(catalog)}
    noted = {
        table: json.loads(note) | {"table_address": table.address}
        for table in tables().values()
        if catalog.table_exists(table.address)  # not that of a source that was added, and has not landed yet
        and (note := catalog.load_table(table.address).properties.get(NOTE))
    }
    done: dict[str, dict[str, dict[str, int]]] = {}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for table, note in noted.items():
        earlier = known.get(_key(note))
        if earlier and earlier["to_snapshot_id"] == note["to_snapshot_id"]:
            continue
        # What a killed rebuild had published may be recorded when the next build publishes it again.
        before, after = (earlier or note)["from_snapshot_id"], note["to_snapshot_id"]
        removed = _differing(spark, table, (before, after))
        added = _differing(spark, table, (after, before))
        # Consumers of results watch the runs: these are taken back with them, also where no row differs.
        if removed or added or earlier or table is CI_RUNS:
            for when, snapshot in (("before", before), ("after", after)):
                tag = f"{note['restatement_id']}_{when}"
                Pins({table.address: snapshot}).tag(catalog, table, tag, keep=KEPT)
            counts = {"removed_count": removed, "added_count": added}
            days = {name: date.fromisoformat(note[name]) for name in ("from_date", "until_date")}
            at = {"from_snapshot_id": before, "restated_at": datetime.now(UTC)}
            rows[_key(note)] = note | days | counts | at
            changed = f"{removed:,} rows removed, {added:,} added"
            logger.info(f"{note['restatement_id']}: {table.address}: {changed}")
            of_one = done.setdefault(note["restatement_id"], {})
            of_one[table.address] = {"removed": removed, "added": added}
    if rows:
        batch = pa.Table.from_pylist(list(rows.values()), schema=arrow_schema(RESTATEMENTS))
        check(RESTATEMENTS, batch)
        present = catalog.load_table(RESTATEMENTS.address)
        if replaced := " or ".join(f"({_is_row(key)})" for key in rows if key in known):
            present.overwrite(batch, overwrite_filter=replaced)
        else:
            present.append(batch)
    for table in noted:
        with catalog.load_table(table.address).transaction() as transaction:
            transaction.remove_properties(NOTE)
    return done


def _is_row(key: tuple[str, str]) -> str:
    return f"restatement_id = '{key[0]}' and table_address = '{key[1]}'"


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["restatement_id"], row["table_address"]


def read_restatements(catalog: Catalog) -> list[dict[str, Any]]:
    """Return all rows of ``ops.restatements``."""
    found: list[dict[str, Any]] = catalog.load_table(RESTATEMENTS.address).scan().to_arrow().to_pylist()
    return found


def _differing(spark: SparkSession, table: Table, snapshots: Sequence[int]) -> int:
    """Count the rows of the first snapshot that are not in the second."""
    one, other = (
        spark.read.option("versionAsOf", str(snapshot)).table(table.identifier) for snapshot in snapshots
    )
    return one.exceptAll(other).count()
