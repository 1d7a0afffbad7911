"""What a decision may see: results and runs known when a day's landing was done."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.transforms.core.tests import leave_out_verdicts
from cilake.windows import day_start

HISTORY_DAYS = 120
RESULT_COLUMNS = ("run_key", "job_key", "test_key", "started_at", "test_status")
RUN_COLUMNS = ("run_key", "job_key", "started_at", "test_count", "failed_count")


def read_history(spark: SparkSession, day: date) -> tuple[DataFrame, DataFrame]:
    """Return results of tests and runs as of the end of ``day``: started and landed for days up to it.

    Training and scoring look back the same number of days, so a feature means the same in both.
    """
    until = day_start(day + timedelta(days=1))
    since = day - timedelta(days=HISTORY_DAYS)
    in_reach = (F.col("run_date") >= F.lit(since)) & (F.col("started_at") < F.lit(until))
    runs = spark.table(CI_RUNS.identifier).where(in_reach & (F.col("landed_date") <= F.lit(day)))
    results = (
        spark.table(TEST_RESULTS.identifier)
        .where(in_reach)
        .join(F.broadcast(runs.select("run_key")), "run_key", "left_semi")
    )
    of_tests = leave_out_verdicts(results, spark.table(TESTS.identifier))
    return of_tests.select(*RESULT_COLUMNS), runs.select(*RUN_COLUMNS)
