"""The answers for people about predictions: likely failures, predictions a day, calibration."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from cilake.apps.progress import say
from cilake.apps.replace import days_condition, replace_days
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.calibration_bins import TABLE as CALIBRATION_BINS
from cilake.contracts.kpi.daily_predictions import TABLE as DAILY_PREDICTIONS
from cilake.contracts.kpi.likely_failures import TABLE as LIKELY_FAILURES
from cilake.contracts.predictions.outcomes import TABLE as OUTCOMES
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.settings import Settings
from cilake.transforms.kpi import calibration_bins, daily_predictions, likely_failures
from cilake.windows import Window


def write_summaries(
    spark: SparkSession, settings: Settings, window: Window, days: list[date]
) -> dict[str, int]:
    """The rows written: likely failures of the window's days, the rest of all decision days given."""
    jobs = spark.table(CI_JOBS.identifier)
    of_days = days_condition("prediction_date", days)
    predictions = spark.table(PREDICTIONS.identifier).where(of_days)
    outcomes = spark.table(OUTCOMES.identifier).where(of_days)
    new = [day for day in days if window.start <= day < window.end]
    reach = F.col("run_date").between(
        window.start - timedelta(days=likely_failures.LOOKBACK_DAYS), window.end - timedelta(days=1)
    )
    likely = likely_failures.transform(
        predictions.where(F.col("prediction_date") >= F.lit(window.start)),
        jobs,
        spark.table(TESTS.identifier),
        spark.table(TEST_RESULTS.identifier).where(reach),
        spark.table(CI_RUNS.identifier).where(reach),
    )
    written = {}
    for table, rows, covered in (
        (LIKELY_FAILURES, likely, new),
        (DAILY_PREDICTIONS, daily_predictions.transform(predictions, outcomes, jobs), days),
        (CALIBRATION_BINS, calibration_bins.transform(outcomes), days),
    ):
        count = 0
        if covered:
            count = replace_days(
                spark,
                settings,
                table,
                rows,
                column="prediction_date",
                days=covered,
                run_id=f"measure_{window.start}",
                day=window.start,
            )
        say(f"{count:,} rows of {table.address} written")
        written[table.address] = count
    return written
