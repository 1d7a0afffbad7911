"""Tests: the distinct names."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.contracts.columns import VERDICT_NAME
from cilake.contracts.core.tests import TABLE


def transform(decoded: DataFrame, published: DataFrame) -> DataFrame:
    """Rows of ``core.tests`` that are not published yet.

    Keys are ``xxhash64`` of the exact name; two names on one key would show as a duplicate key and stop
    the build.
    """
    names = (
        decoded.where("test_names is not null").select(F.explode("test_names").alias("test_name")).distinct()
    )
    keyed = names.select(
        F.xxhash64("test_name").alias("test_key"),
        "test_name",
        F.col("test_name").rlike(VERDICT_NAME).alias("is_verdict"),
    )
    return keyed.join(
        published.select("test_key", "test_name"), ["test_key", "test_name"], "left_anti"
    ).select(TABLE.column_names)


def leave_out_verdicts(rows: DataFrame, tests: DataFrame) -> DataFrame:
    """Return the rows about tests: those whose ``test_key`` is not the key of a verdict row."""
    verdicts = tests.where("is_verdict").select("test_key")
    return rows.join(F.broadcast(verdicts), "test_key", "left_anti")
