"""Test results: those that the standing observation of each run holds."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.contracts.core.test_results import TABLE
from cilake.transforms.core.ci_run_observations import KEY


def transform(standing: DataFrame, observations: DataFrame) -> DataFrame:
    """Return the rows of ``core.test_results``: one per test of the observations whose keys stand."""
    runs = observations.join(standing.select(*KEY, "known_at"), list(KEY))
    cells = runs.select(
        "run_key",
        "job_key",
        "started_at",
        "run_date",
        "known_at",
        F.inline(F.arrays_zip("test_keys", "test_statuses", "messages")),
    )
    return cells.select(
        "run_key",
        "job_key",
        F.col("test_keys").alias("test_key"),
        "started_at",
        "run_date",
        F.col("test_statuses").alias("test_status"),
        F.col("messages").alias("message"),
        "known_at",
    ).select(TABLE.column_names)
