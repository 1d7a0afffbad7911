"""EXAMPLE: runs a day."""

from __future__ import annotations

from cilake.contracts.kpi.example_table import TABLE
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(*, ci_runs: DataFrame, ci_jobs: DataFrame) -> DataFrame:
    """Return rows of ``kpi.example_table`` for the days of the given runs."""
    counts = ci_runs.groupBy("run_date", "job_key").agg(F.count("*").alias("run_count"))
    return counts.join(ci_jobs.select("job_key", "job_name"), "job_key").select(TABLE.column_names)
