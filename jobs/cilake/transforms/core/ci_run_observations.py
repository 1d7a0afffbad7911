"""Observations of runs: which contents of a run began when, and which of them stands.

All functions here depend on the set of rows alone, not on the order in which payloads were landed or built.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from cilake.contracts.columns import TEST_STATUSES
from cilake.contracts.core.ci_run_observations import TABLE

KEY = TABLE.primary_key
SLIM = (*KEY, "result_count", "running_count", "run_date", "landed_date")
"""What tells which observation stands."""
RESULTS = ("test_keys", "test_statuses", "messages")
_PART = ("run_key", "source", "natural_id")
_READING = (*_PART, "seen_at", "landed_date", "decoder_version")


def status_of(code: Column) -> Column:
    """Return the readable status of a TestGrid cell code."""
    pairs = [F.lit(part) for code_and_name in TEST_STATUSES.items() for part in code_and_name]
    return F.element_at(F.create_map(*pairs), code)


def transform(decoded: DataFrame) -> DataFrame:
    """Return the decoded runs with the columns of ``core.ci_run_observations``."""
    return decoded.select(
        "*",
        F.col("known_at").alias("seen_at"),
        F.to_date("started_at").alias("run_date"),
        status_of(F.col("result_code")).alias("result"),
        F.transform("codes", status_of).alias("test_statuses"),
    ).select(TABLE.column_names)


def collisions(decoded: DataFrame, published: DataFrame) -> DataFrame:
    """Return the decoded runs whose key belongs to another run, once per payload that holds them.

    Columns: ``run_key``, ``job_key``, ``build_id``, names of the payload (``source``, ``endpoint``,
    ``natural_id``, ``landed_date``), and ``reason``. The run that is published keeps its key; of several new
    ones the one that was known first.
    """
    identity = F.struct("job_key", "build_id")
    held = published.select("run_key", identity.alias("holder")).distinct()
    first = F.min_by(identity, F.struct("known_at", "job_key", "build_id"))
    new = decoded.groupBy("run_key").agg(first.alias("holder")).join(held, "run_key", "left_anti")
    reason = F.concat(
        F.lit("taken_run_key: "), "run_key", F.lit(" is the key of build "), "holder.build_id",
        F.lit(" of job "), "holder.job_key",
    )  # fmt: skip
    runs = ("run_key", "job_key", "build_id", "source", "endpoint", "natural_id", "landed_date")
    return (
        decoded.join(held.unionByName(new), "run_key")
        .where(identity != F.col("holder"))
        .select(*runs, reason.alias("reason"))
        .distinct()
    )


def leave_out_collisions(decoded: DataFrame, collided: DataFrame) -> DataFrame:
    """Return the decoded runs without those whose key belongs to another run."""
    of_run = ["run_key", "job_key", "build_id"]
    return decoded.join(F.broadcast(collided.select(*of_run).distinct()), of_run, "left_anti")


def select_reread(observed: DataFrame, published: DataFrame) -> DataFrame:
    """Return the published rows of what the same version of the decoder has read again."""
    return published.join(observed.select(*_READING).distinct(), list(_READING), "left_semi")


def select_beginnings(seen: DataFrame, published: DataFrame) -> DataFrame:
    """Return the keys of the rows of ``seen`` with which a content begins and that are not published.

    Both have the columns of the key. A content begins where the row before it, of the same run and the same
    part of the source, has another content or was read by another version of the decoder.
    """
    rows = published.select(*KEY, F.lit(False).alias("is_new")).unionByName(
        seen.select(*KEY, F.lit(True).alias("is_new"))
    )
    once = rows.groupBy(*KEY).agg(F.min("is_new").alias("is_new"))
    before = F.lag(F.struct("content_hash", "decoder_version")).over(_in_order())
    begins = before.isNull() | (before != F.struct("content_hash", "decoder_version"))
    return _newest_reading(once).withColumn("begins", begins).where("is_new AND begins").select(*KEY)


def select_changes(seen: DataFrame, published: DataFrame) -> DataFrame:
    """Return the rows of ``seen`` before which the same part of the source showed another content of the run.

    Both have the columns of the key.
    """
    rows = published.select(*KEY, F.lit(False).alias("is_new")).unionByName(
        seen.select(*KEY, F.lit(True).alias("is_new"))
    )
    before = F.lag("content_hash").over(_in_order())
    return rows.withColumn("before", before).where("is_new AND before <> content_hash").select(*KEY)


def select_standing(observations: DataFrame, precedence: Mapping[str, int]) -> DataFrame:
    """Return per run the observation that stands: its key, day and size, ``known_at`` and ``landed_date``.

    Of several contents that one stands which began last, of the source with the highest ``precedence``. A
    content with fewer results than a final one is poorer and does not replace it: services cut what is large.
    ``known_at`` is when the source first showed the content, ``landed_date`` the day of the landing that
    brought it. Of the observations known at an instant, it is what stood then.
    """
    read = _newest_reading(observations)
    of_run = Window.partitionBy("run_key")
    final_count = F.max(F.when(F.col("running_count") == 0, F.col("result_count"))).over(of_run)
    before = F.lag("content_hash").over(_in_order())
    rank = F.lit(-1)
    for source, number in precedence.items():
        rank = F.when(F.col("source") == source, F.lit(number)).otherwise(rank)
    marked = read.withColumns(
        {
            "begins": before.isNull() | (before != F.col("content_hash")),
            "is_poorer": F.col("result_count") < F.coalesce(final_count, F.lit(0)),
            "rank": rank,
        }
    )
    candidates = marked.where("begins AND NOT is_poorer")
    last = F.struct("rank", "seen_at", "content_hash", "source")
    standing = candidates.groupBy("run_key").agg(F.max(last).alias("last"))
    same = read.join(standing, "run_key").where("content_hash = last.content_hash AND source = last.source")
    chosen = F.struct(F.col("decoder_version"), (-F.unix_micros("seen_at")).alias("age"), "natural_id")
    return same.groupBy("run_key").agg(
        *(F.max_by(name, chosen).alias(name) for name in KEY if name != "run_key"),
        F.min("seen_at").alias("known_at"),
        F.min_by("landed_date", F.struct("seen_at", "landed_date")).alias("landed_date"),
        *(F.max_by(name, chosen).alias(name) for name in ("run_date", "result_count")),
    )


def _newest_reading(rows: DataFrame) -> DataFrame:
    """Return the rows without those of payloads that a newer version of the decoder has read."""
    payload = Window.partitionBy(*_PART, "seen_at")
    newest = F.max("decoder_version").over(payload)
    return rows.withColumn("newest", newest).where("decoder_version = newest").drop("newest")


def _in_order() -> WindowSpec:
    return Window.partitionBy(*_PART).orderBy("seen_at", "content_hash")
