"""Decoding: what the payloads of raw tables show, read by the decoders of their sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
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
from cilake.transforms.engines import SparkEngine

KEY = list(ci_run_observations.KEY)
"""The columns that distinguish observations, as Spark wants them."""

BATCH_SIZE = "spark.sql.execution.arrow.maxRecordsPerBatch"
PAYLOADS_PER_BATCH = 4
FEW_RESULTS = 4_000_000
"""So many results of payloads are decoded in this process."""
FEW_DECODED_BYTES = 256 * 1024 * 1024
"""So much memory they may take: a few bytes of a payload can hold many runs with long addresses."""
_NAMES = ("partition_date", "natural_id", "content_sha256")
PAYLOAD_COLUMNS = ("payload", "served_at", *_NAMES)
_GIVEN = ["payload", "served_at", "partition_date", "origin", "natural_id"]
"""What decoders are given of each payload."""
DECODED_RUNS = DECODED.append(pa.field("source", pa.string())).append(pa.field("endpoint", pa.string()))
"""What decoders read, with the names of source and endpoint."""


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
    spark: SparkSession,
    payloads: list[tuple[RawTable, DataFrame]],
    late: list[tuple[RawTable, Unbuilt]],
    *,
    is_large: bool,
) -> DataFrame:
    """Return what payloads show, computed once; much of it is kept on disk alone.

    With ``late`` payloads there is also what built ones show that were served after these.
    """
    spark.conf.set(BATCH_SIZE, str(PAYLOADS_PER_BATCH))
    level = StorageLevel.DISK_ONLY if is_large else StorageLevel.MEMORY_AND_DISK
    every = reduce(DataFrame.unionByName, (_decode(raw, rows) for raw, rows in payloads))
    # Checkpoints, as Spark does not find again what it keeps of a plan with a function of Python in it.
    decoded = every.localCheckpoint(storageLevel=level)
    for raw, unbuilt in late:
        following = _decode(raw, _read_hidden(spark, raw, unbuilt, decoded))
        decoded = decoded.unionByName(following.localCheckpoint(storageLevel=level))
    return decoded


def decode_few(payloads: list[tuple[RawTable, pa.Table]]) -> pa.Table | None:
    """Return what payloads show, decoded in this process; ``None`` where it is too much for it."""
    parts, result_count, size = [DECODED_RUNS.empty_table()], 0, 0
    for raw, rows in payloads:
        for batch in decode_rows(raw, rows):
            result_count += pc.sum(batch["result_count"]).as_py() or 0
            size += batch.nbytes
            if result_count > FEW_RESULTS or size > FEW_DECODED_BYTES:
                return None
            parts.append(pa.Table.from_batches([batch]))
    return pa.concat_tables(parts).combine_chunks()


def decode_rows(raw: RawTable, payloads: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield what payloads (``PAYLOAD_COLUMNS``) of a raw table show, in batches of ``DECODED_RUNS``."""
    named = [pa.scalar(raw.table.address), *(payloads[name].cast(pa.string()) for name in _NAMES)]
    given = payloads.append_column("origin", pc.binary_join_element_wise(*named, "|"))
    batches = given.select(_GIVEN).to_batches(PAYLOADS_PER_BATCH)
    origins = [pa.scalar(raw.source.name), pa.scalar(raw.endpoint)]
    for batch in raw.source.decoders[raw.table.address]()(iter(batches)):
        columns = [*batch.columns, *(pa.repeat(value, len(batch)) for value in origins)]
        yield pa.RecordBatch.from_arrays(columns, schema=DECODED_RUNS)


def _decode(raw: RawTable, payloads: DataFrame) -> DataFrame:
    """Return what the source's decoder reads in payloads, with the names of source and endpoint."""
    origin = F.concat_ws("|", F.lit(raw.table.address), *_NAMES)
    decoded = (
        payloads.withColumn("origin", origin)
        .select(*_GIVEN)
        .mapInArrow(
            raw.source.decoders[raw.table.address](),  # type: ignore[arg-type]  # pyspark's stubs ask for Iterable
            from_arrow_schema(DECODED),
        )
    )
    return decoded.withColumns({"source": F.lit(raw.source.name), "endpoint": F.lit(raw.endpoint)})


def _read_hidden(spark: SparkSession, raw: RawTable, unbuilt: Unbuilt, decoded: DataFrame) -> DataFrame:
    """Return the payloads after late ones that may show runs as they were before these.

    They showed nothing new when they were built; after a late payload with another content they do.
    """
    engine = SparkEngine(spark)
    shown = decoded.where((F.col("source") == raw.source.name) & (F.col("endpoint") == raw.endpoint))
    seen = ci_run_observations.transform(engine, decoded=shown.where("reject_reason IS NULL")).select(*KEY)
    published = spark.table(OBSERVATIONS.identifier).select(*KEY)
    of_runs = published.join(F.broadcast(seen.select("run_key").distinct()), "run_key", "left_semi")
    changes = ci_run_observations.select_changes(engine, seen=seen, observations=of_runs)
    since = changes.groupBy("natural_id").agg(F.min("seen_at").alias("late_at")).localCheckpoint()
    return unbuilt.read_following(spark, since)
