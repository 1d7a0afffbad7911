"""The answers for people about predictions: likely failures, predictions a day, calibration."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.calibration_bins import TABLE as CALIBRATION_BINS
from cilake.contracts.kpi.daily_predictions import TABLE as DAILY_PREDICTIONS
from cilake.contracts.kpi.likely_failures import TABLE as LIKELY_FAILURES
from cilake.contracts.model import Table
from cilake.lake.snapshots import Pins
from cilake.publish.replace import spans_condition
from cilake.transforms.kpi import calibration_bins, daily_predictions, likely_failures


def summaries(
    spark: SparkSession,
    pins: Pins,
    predictions: DataFrame,
    outcomes: DataFrame,
    days: list[date],
    *,
    model_name: str,
) -> dict[Table, DataFrame]:
    """Return the rows of the tables that tell people about a model's predictions of the decision days."""
    jobs = spark.table(CI_JOBS.identifier)
    reach = spans_condition(
        "run_date",
        {day - timedelta(days=back) for day in days for back in range(likely_failures.LOOKBACK_DAYS + 1)},
    )
    likely = likely_failures.transform(
        predictions,
        jobs,
        spark.table(TESTS.identifier),
        pins.read(spark, TEST_RESULTS).where(reach),
        pins.read(spark, CI_RUNS).where(reach),
        model_name=model_name,
    )
    return {
        LIKELY_FAILURES: likely,
        DAILY_PREDICTIONS: daily_predictions.transform(predictions, outcomes, jobs, model_name=model_name),
        CALIBRATION_BINS: calibration_bins.transform(outcomes),
    }
