"""Write, audit, publish: changes reach ``main`` only through an audited branch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from cilake.contracts.model import Table

AUDIT_PREFIX = "audit_"
"""What the names of audit branches begin with."""


@dataclass(frozen=True, slots=True)
class Branch:
    """An audit branch of one table."""

    spark: SparkSession
    table: Table
    name: str
    base: int | None

    @property
    def target(self) -> str:
        """The identifier that writes go to."""
        return f"{self.table.identifier}.branch_{self.name}"

    def appended(self) -> DataFrame:
        """The rows that were appended to the branch since it left ``main``."""
        reader = self.spark.read.option("end-snapshot-id", str(self.head))
        if self.base is not None:
            reader = reader.option("start-snapshot-id", str(self.base))
        return reader.table(self.table.identifier)

    @property
    def head(self) -> int | None:
        """The id of the branch's snapshot; ``None`` when nothing was ever written."""
        return snapshot_id(self.spark, self.table, self.name)

    def append(self, rows: DataFrame) -> None:
        """Add rows."""
        rows.writeTo(self.target).append()

    def delete(self, condition: str) -> None:
        """Remove the rows that meet an SQL condition."""
        self.spark.sql(f"DELETE FROM {self.target} WHERE {condition}")  # noqa: S608 - conditions are ours

    def publish(self) -> None:
        """Make ``main`` what the branch is, in one step, and drop the branch."""
        self.spark.sql(
            f"CALL lake.system.fast_forward('{self.table.identifier}', 'main', '{self.name}')"
        ).collect()
        self.drop()

    def drop(self) -> None:
        """Forget the branch; what it wrote is left to expiry."""
        self.spark.sql(f"ALTER TABLE {self.table.identifier} DROP BRANCH IF EXISTS {self.name}")


def open_branch(spark: SparkSession, table: Table, run_id: str) -> Branch:
    """A fresh branch off the current ``main``; one left by a killed run of the same id is replaced.

    One writer per table at a time: a commit to ``main`` in between makes ``publish`` fail, never overwrite.
    """
    name = AUDIT_PREFIX + re.sub(r"\W", "_", run_id)
    spark.sql(f"ALTER TABLE {table.identifier} DROP BRANCH IF EXISTS {name}")
    spark.sql(f"ALTER TABLE {table.identifier} CREATE BRANCH {name}")
    return Branch(spark, table, name, snapshot_id(spark, table, name))


def write_audit_publish(
    branches: list[Branch],
    write: Callable[[Branch], None],
    audit: Callable[[Branch], None],
) -> None:
    """Every branch written and audited, then published in the order given.

    ``audit`` raises to stop everything before anything is published; the branches are dropped either way.
    """
    try:
        for branch in branches:
            write(branch)
        for branch in branches:
            audit(branch)
    except BaseException:
        for branch in branches:
            branch.drop()
        raise
    for branch in branches:
        branch.publish()


def snapshot_id(spark: SparkSession, table: Table, branch: str = "main") -> int | None:
    """The id of the current snapshot of a branch; ``None`` for a table never written."""
    found = spark.sql(
        f"SELECT snapshot_id FROM {table.identifier}.refs WHERE name = '{branch}'"  # noqa: S608 - names are ours
    ).collect()
    return int(found[0][0]) if found else None
