"""Daily job health: runs and results of each job on each day."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.contracts.columns import FAILING, PASSING, RUNNING
from cilake.contracts.kpi.daily_job_health import TABLE
from cilake.transforms.core.tests import leave_out_verdicts


def transform(
    *, ci_runs: DataFrame, ci_jobs: DataFrame, tests: DataFrame, test_results: DataFrame
) -> DataFrame:
    """Return the rows of ``kpi.daily_job_health`` for the days of the given runs and results."""
    by_day = ci_runs.groupBy("job_key", "run_date").agg(
        F.count("*").alias("run_count"),
        F.count_if(F.col("result").isin(*PASSING)).alias("run_passed_count"),
        F.count_if(F.col("result").isin(*FAILING)).alias("run_failed_count"),
        F.count_if(F.col("result") == RUNNING).alias("run_running_count"),
        *[
            F.sum(name).alias(name)
            for name in ("passed_count", "failed_count", "flaky_count", "running_count")
        ],
        F.sum("test_count").alias("test_count"),
        F.max(F.when(F.col("result").isin(*FAILING), F.struct("started_at", "run_key", "run_url"))).alias(
            "failed"
        ),
    )
    failing = (
        leave_out_verdicts(test_results, tests)
        .where(F.col("test_status").isin(*FAILING))
        .groupBy("job_key", "run_date")
        .agg(F.array_sort(F.collect_set("test_key")).alias("failing_test_keys"))
    )
    ran = F.col("passed_count") + F.col("failed_count") + F.col("flaky_count")
    return (
        by_day.join(ci_jobs.select("job_key", "job_name", "release", "platform"), "job_key")
        .join(failing, ["job_key", "run_date"], "left")
        .withColumn("other_count", F.col("test_count") - ran - F.col("running_count"))
        .withColumn("pass_ratio", F.when(ran > 0, F.col("passed_count") / ran))
        .withColumn("failing_test_keys", F.coalesce("failing_test_keys", F.array().cast("array<bigint>")))
        .withColumn("failing_test_count", F.size("failing_test_keys").cast("bigint"))
        .withColumn("last_failed_at", F.col("failed.started_at"))
        .withColumn("last_failed_run_url", F.col("failed.run_url"))
        .select(TABLE.column_names)
    )
