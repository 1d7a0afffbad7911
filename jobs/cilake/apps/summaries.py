"""The answers for people about predictions: likely failures, predictions a day, calibration."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from cilake.apps.replace import Replacement, days_condition
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.calibration_bins import TABLE as CALIBRATION_BINS
from cilake.contracts.kpi.daily_predictions import TABLE as DAILY_PREDICTIONS
from cilake.contracts.kpi.likely_failures import TABLE as LIKELY_FAILURES
from cilake.contracts.predictions.outcomes import TABLE as OUTCOMES
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.transforms.kpi import calibration_bins, daily_predictions, likely_failures


def summaries(spark: SparkSession, days: list[date]) -> list[Replacement]:
    """The tables that tell people about the predictions of the decision days."""
    jobs = spark.table(CI_JOBS.identifier)
    of_days = days_condition("prediction_date", days)
    predictions = spark.table(PREDICTIONS.identifier).where(of_days)
    outcomes = spark.table(OUTCOMES.identifier).where(of_days)
    reach = F.col("run_date").between(min(days) - timedelta(days=likely_failures.LOOKBACK_DAYS), max(days))
    likely = likely_failures.transform(
        predictions,
        jobs,
        spark.table(TESTS.identifier),
        spark.table(TEST_RESULTS.identifier).where(reach),
        spark.table(CI_RUNS.identifier).where(reach),
    )
    return [
        Replacement(LIKELY_FAILURES, likely, "prediction_date", days),
        Replacement(
            DAILY_PREDICTIONS,
            daily_predictions.transform(predictions, outcomes, jobs),
            "prediction_date",
            days,
        ),
        Replacement(CALIBRATION_BINS, calibration_bins.transform(outcomes), "prediction_date", days),
    ]
