"""Tests: the distinct names that have results, each with its own key."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.columns import FAILING, PASSING, RUNNING, TEST_STATUSES, VERDICT_NAME
from cilake.contracts.core.tests import TABLE

_ARRAYS = ("test_keys", "codes", "messages")
_PAYLOAD = ("origin", "source", "endpoint", "natural_id", "known_at", "landed_date")


def transform(decoded: DataFrame, published: DataFrame) -> DataFrame:
    """Return the rows of ``core.tests`` whose key is not published yet.

    Keys are ``xxhash64`` of the exact name, and two names can be made that share one. The name that is
    published keeps its key; of several new ones the one that was known first (ties by name). The others
    are in ``collisions``.
    """
    new = _first_names(decoded).join(published.select("test_key"), "test_key", "left_anti")
    return new.withColumn("is_verdict", F.col("test_name").rlike(VERDICT_NAME)).select(TABLE.column_names)


def collisions(decoded: DataFrame, published: DataFrame) -> DataFrame:
    """Return the names whose key belongs to another name, once per payload that holds them.

    Columns: ``origin``, ``source``, ``endpoint``, ``natural_id``, ``known_at``, ``landed_date`` of the
    payload, ``test_key``,
    ``test_name``, ``holder_name`` (whose key it is) and ``reason``. Ask before the new rows of
    ``core.tests`` are published, or after: the answer is the same.
    """
    holders = published.select("test_key", F.col("test_name").alias("holder_name")).unionByName(
        _first_names(decoded)
        .join(published.select("test_key"), "test_key", "left_anti")
        .withColumnRenamed("test_name", "holder_name")
    )
    return (
        _names(decoded)
        .join(holders, "test_key")
        .where("test_name <> holder_name")
        .withColumn(
            "reason",
            F.concat(
                F.lit("taken_test_key: "),
                "test_key",
                F.lit(" is the key of "),
                F.substring("holder_name", 1, 200),
            ),
        )
        .select(
            *_PAYLOAD,
            "test_key",
            "test_name",
            "holder_name",
            "reason",
        )
    )


def leave_out_collisions(decoded: DataFrame, collided: DataFrame) -> DataFrame:
    """Return the decoded runs without the results of names whose key belongs to another name.

    ``collided`` are the rows of ``collisions``. A result carries the key alone, but within one payload a key
    stands for one name (the decoder refuses a second one), so the results to leave out are those of the
    payload's runs under that key. Counts follow; ``content_hash`` stays that of the content as served.
    """
    taken = collided.groupBy("origin").agg(
        F.collect_set("test_key").alias("taken_keys"),
        F.collect_set(F.when(F.col("test_name").rlike(VERDICT_NAME), F.col("test_key"))).alias(
            "verdict_keys"
        ),
    )
    joined = decoded.join(F.broadcast(taken), "origin", "left")
    cells = F.arrays_zip(*_ARRAYS)
    kept = F.filter(cells, lambda cell: ~F.array_contains("taken_keys", cell["test_keys"]))
    lost = F.filter(cells, lambda cell: F.array_contains("taken_keys", cell["test_keys"]))
    lost_tests = F.filter(lost, lambda cell: ~F.array_contains("verdict_keys", cell["test_keys"]))

    def lost_with(*statuses: str) -> Column:
        codes = [code for code, status in TEST_STATUSES.items() if status in statuses]
        return F.size(F.filter(lost_tests, lambda cell: cell["codes"].isin(*codes)))

    losses = {
        "result_count": F.size(lost),
        "test_count": F.size(lost_tests),
        "passed_count": lost_with(*PASSING),
        "failed_count": lost_with(*FAILING),
        "flaky_count": lost_with("flaky"),
        "running_count": lost_with(RUNNING),
    }
    is_hit = F.col("taken_keys").isNotNull()
    changed = {
        name: F.when(is_hit, F.col(name) - lost).otherwise(F.col(name)) for name, lost in losses.items()
    }
    # An array of structs has its fields as arrays.
    changed |= {name: F.when(is_hit, kept[name]).otherwise(F.col(name)) for name in _ARRAYS}
    return joined.withColumns(changed).select(decoded.columns)


def keep_names(decoded: DataFrame, rest: DataFrame) -> DataFrame:
    """Return what is left of decoded runs, with all names of the payloads that they come from.

    The names of a payload are with its first run; where that was left out another one gets them.
    """
    names = decoded.where("test_names is not null").select("origin", "test_names")
    lost = names.join(rest.where("test_names is not null").select("origin"), "origin", "left_anti")
    first = rest.groupBy("origin").agg(F.min("run_key").alias("run_key"))
    given = lost.withColumnRenamed("test_names", "lost_names").join(first, "origin").localCheckpoint()
    return (
        rest.join(F.broadcast(given), ["origin", "run_key"], "left")
        .withColumn("test_names", F.coalesce("test_names", "lost_names"))
        .select(rest.columns)
    )


def _names(decoded: DataFrame) -> DataFrame:
    """Return each name of each payload, with its key."""
    return (
        decoded.where("test_names is not null")
        .select(*_PAYLOAD, F.explode("test_names").alias("test_name"))
        .withColumn("test_key", F.xxhash64("test_name"))
    )


def _first_names(decoded: DataFrame) -> DataFrame:
    """Return for each key the name that was known first; of names known at once the first by the alphabet."""
    first = F.min_by("test_name", F.struct("known_at", "test_name"))
    return _names(decoded).groupBy("test_key").agg(first.alias("test_name"))
