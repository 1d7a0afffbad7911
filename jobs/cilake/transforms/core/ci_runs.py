"""Runs: the newest content of each, whatever dashboards and pulls showed it."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.columns import TEST_STATUSES
from cilake.contracts.core.ci_runs import TABLE

RESULTS = ("test_keys", "codes", "messages")


def status_of(code: Column) -> Column:
    """The readable status of a TestGrid cell code."""
    pairs = [F.lit(part) for code_and_name in TEST_STATUSES.items() for part in code_and_name]
    return F.element_at(F.create_map(*pairs), code)


def mark_changed(decoded: DataFrame, published: DataFrame) -> DataFrame:
    """The decoded rows that matter, with ``is_changed``: runs unlike the published ones, and lists of names.

    A run is changed when it is new, when the source served other content later, or when a content already
    published turns out to have been known earlier; so landings may be built in any order and repeated
    without effect. Unchanged rows that carry test names stay, without their results.
    """
    before = published.select(
        "run_key",
        F.col("content_hash").alias("published_hash"),
        F.col("known_at").alias("published_at"),
    )
    same = F.col("content_hash") == F.col("published_hash")
    changed = (
        F.col("published_hash").isNull()
        | (~same & (F.col("known_at") > F.col("published_at")))
        | (same & (F.col("known_at") < F.col("published_at")))
    )
    marked = decoded.join(F.broadcast(before), "run_key", "left").withColumn("is_changed", changed)
    results = [F.when(F.col("is_changed"), F.col(name)).alias(name) for name in RESULTS]
    return marked.where("is_changed OR test_names IS NOT NULL").select(
        *[name for name in decoded.columns if name not in RESULTS], "is_changed", *results
    )


def select_newest(marked: DataFrame) -> DataFrame:
    """The changed runs, one row each: of several contents the one served last, as first served.

    Only slim columns are grouped and sent around; the results follow by a broadcast join.
    """
    changed = marked.where("is_changed")
    by_content = changed.groupBy("run_key", "content_hash").agg(
        F.max("known_at").alias("served_last_at"),
        F.min_by("origin", F.struct("known_at", "origin")).alias("origin"),
    )
    winners = by_content.groupBy("run_key").agg(
        F.max_by("origin", F.struct("served_last_at", "content_hash")).alias("origin")
    )
    return changed.join(F.broadcast(winners), ["run_key", "origin"])


def transform(changed: DataFrame) -> DataFrame:
    """Rows of ``core.ci_runs`` from changed runs."""
    return changed.select(
        "run_key",
        "job_key",
        "build_id",
        "started_at",
        F.to_date("started_at").alias("run_date"),
        status_of(F.col("result_code")).alias("result"),
        "result_count",
        "test_count",
        "passed_count",
        "failed_count",
        "flaky_count",
        "running_count",
        "run_url",
        "content_hash",
        "known_at",
        "landed_date",
    ).select(TABLE.column_names)
