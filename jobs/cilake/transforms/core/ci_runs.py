"""Runs: the newest content of each, whatever dashboards and pulls showed it."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.columns import TEST_STATUSES
from cilake.contracts.core.ci_runs import TABLE


def status_of(code: Column) -> Column:
    """The readable status of a TestGrid cell code."""
    pairs = [F.lit(part) for code_and_name in TEST_STATUSES.items() for part in code_and_name]
    return F.element_at(F.create_map(*pairs), code)


def select_changed(decoded: DataFrame, published: DataFrame) -> DataFrame:
    """The decoded runs that differ from what is published, one row per run, results included.

    Of several contents of a run the one served last wins, known since it was first served. A content
    already published is taken again only when it turns out to have been known earlier, so landings may
    be built in any order and repeated without effect.
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
    candidates = decoded.join(F.broadcast(before), "run_key", "left").where(changed)
    by_content = candidates.groupBy("run_key", "content_hash").agg(
        F.max("known_at").alias("served_last_at"),
        F.min_by(F.struct(*[F.col(c) for c in decoded.columns]), F.struct("known_at", "landed_date")).alias("run"),
    )
    newest = by_content.groupBy("run_key").agg(
        F.max_by("run", F.struct("served_last_at", "content_hash")).alias("run")
    )
    return newest.select("run.*")


def transform(changed: DataFrame) -> DataFrame:
    """Rows of ``core.ci_runs`` from changed runs."""
    return changed.select(
        "run_key",
        "job_key",
        "build_id",
        "started_at",
        F.to_date("started_at").alias("run_date"),
        status_of(F.col("result_code")).alias("result"),
        F.size("test_keys").cast("bigint").alias("test_count"),
        "passed_count",
        "failed_count",
        "flaky_count",
        "running_count",
        "run_url",
        "content_hash",
        "known_at",
        "landed_date",
    ).select(TABLE.column_names)
