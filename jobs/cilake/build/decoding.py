"""Decoding: what the payloads of raw tables show, read by the decoders of their sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from cilake.build.unbuilt import Unbuilt
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.model import Table
from cilake.contracts.registry import table as contract
from cilake.sources.base import Source
from cilake.sources.decoder import DECODED
from cilake.sources.registry import sources
from cilake.transforms.core import ci_run_observations

KEY = list(ci_run_observations.KEY)
"""The columns that tell observations apart, as Spark wants them."""

BATCH_SIZE = "spark.sql.execution.arrow.maxRecordsPerBatch"
_CACHED_BATCH_SIZE = "spark.sql.inMemoryColumnarStorage.batchSize"
_PAYLOADS_PER_BATCH = 4
_RUNS_PER_BATCH = 500
"""Of runs with hundreds of results each, Spark's 10,000 rows would be held as one piece."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A raw table whose payloads show runs, and the source that knows how to read them."""

    source: Source
    endpoint: str
    table: Table


def raw_tables() -> list[RawTable]:
    """Return the raw tables of all sources that show runs."""
    return [
        RawTable(source, endpoint, contract(address))
        for source in sources()
        for endpoint, address in source.endpoints.items()
        if address in source.decoders
    ]


def decode_all(
    spark: SparkSession, payloads: list[tuple[RawTable, DataFrame]], *, is_large: bool
) -> DataFrame:
    """Return what payloads of several raw tables show, computed once; much of it is kept on disk alone."""
    spark.conf.set(BATCH_SIZE, str(_PAYLOADS_PER_BATCH))
    spark.conf.set(_CACHED_BATCH_SIZE, str(_RUNS_PER_BATCH))
    decoded = reduce(DataFrame.unionByName, (decode(raw, rows) for raw, rows in payloads))
    return decoded.persist(StorageLevel.DISK_ONLY if is_large else StorageLevel.MEMORY_AND_DISK)


def decode(raw: RawTable, payloads: DataFrame) -> DataFrame:
    """Return what the source's decoder reads in payloads, with the names of source and endpoint."""
    origin = F.concat_ws("|", F.lit(raw.table.address), "partition_date", "natural_id", "content_sha256")
    decoded = payloads.select(
        "payload", "served_at", "partition_date", origin.alias("origin"), "natural_id"
    ).mapInArrow(
        raw.source.decoders[raw.table.address](),  # type: ignore[arg-type]  # pyspark's stubs ask for Iterable
        from_arrow_schema(DECODED),
    )
    return decoded.withColumns({"source": F.lit(raw.source.name), "endpoint": F.lit(raw.endpoint)})


def read_hidden(spark: SparkSession, raw: RawTable, unbuilt: Unbuilt, decoded: DataFrame) -> DataFrame:
    """Return the payloads after late ones that may show runs as they were before these.

    They said nothing new when they were built; after a late payload with another content they do.
    """
    seen = decoded.where((F.col("source") == raw.source.name) & F.col("reject_reason").isNull())
    seen = ci_run_observations.transform(seen.where(F.col("endpoint") == raw.endpoint)).select(*KEY)
    published = spark.table(OBSERVATIONS.identifier).select(*KEY)
    of_runs = published.join(F.broadcast(seen.select("run_key").distinct()), "run_key", "left_semi")
    changes = ci_run_observations.select_changes(seen, of_runs)
    since = changes.groupBy("natural_id").agg(F.min("seen_at").alias("late_at")).localCheckpoint()
    return unbuilt.read_following(spark, since)
