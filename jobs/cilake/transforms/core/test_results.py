"""Test results: the cells of each run that hold one."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.contracts.core.test_results import TABLE
from cilake.transforms.core.ci_runs import status_of


def transform(changed: DataFrame, *, partition_count: int = 1) -> DataFrame:
    """Rows of ``core.test_results`` from changed runs, range-partitioned and sorted by month and job.

    Runs, not cells, are shuffled and sorted: a run is one row until the last step unfolds its arrays.
    """
    month = F.date_trunc("month", "started_at")
    runs = (
        changed.withColumn("run_date", F.to_date("started_at"))
        .repartitionByRange(partition_count, month, "job_key")
        .sortWithinPartitions(month, "job_key", "started_at")
    )
    cells = runs.select(
        "run_key",
        "job_key",
        "started_at",
        "run_date",
        "known_at",
        F.inline(F.arrays_zip("test_keys", "codes", "messages")),
    )
    return cells.select(
        "run_key",
        "job_key",
        F.col("test_keys").alias("test_key"),
        "started_at",
        "run_date",
        status_of(F.col("codes")).alias("test_status"),
        F.col("messages").alias("message"),
        "known_at",
    ).select(TABLE.column_names)
