"""The ``kpi`` tables about runs and tests: health of jobs and tests, pairs that fail together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import SparkSession

from cilake.apps.replace import Replacement, days_condition, spans_condition
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.daily_job_health import TABLE as DAILY_JOB_HEALTH
from cilake.contracts.kpi.failing_pairs import TABLE as FAILING_PAIRS
from cilake.contracts.kpi.weekly_test_health import TABLE as WEEKLY_TEST_HEALTH
from cilake.transforms.core import tests
from cilake.transforms.kpi import daily_job_health, failing_pairs, weekly_test_health
from cilake.windows import days_of_weeks, mondays

KPI = (DAILY_JOB_HEALTH, WEEKLY_TEST_HEALTH, FAILING_PAIRS)


def compute_kpi(spark: SparkSession, days: list[date], mark: Mapping[str, str]) -> list[Replacement]:
    """Return what the ``kpi`` tables should hold for the days of runs and the weeks that they touch.

    ``mark`` are the properties of each table that say so.
    """
    runs = spark.table(CI_RUNS.identifier)
    all_tests, jobs = spark.table(TESTS.identifier), spark.table(CI_JOBS.identifier)
    results = tests.leave_out_verdicts(spark.table(TEST_RESULTS.identifier), all_tests)
    scope = days_condition("run_date", days)
    daily = daily_job_health.transform(runs.where(scope), jobs, results.where(scope))
    weeks = weekly_test_health.affected_weeks(days)
    lookback = weekly_test_health.LOOKBACK_DAYS
    reach = spans_condition("run_date", days_of_weeks(weeks, lookback_days=lookback))
    weekly = weekly_test_health.transform(
        results.where(reach), runs.where(reach), jobs, all_tests, weeks=weeks
    )
    own_weeks = mondays(days)
    of_weeks = spans_condition("run_date", days_of_weeks(own_weeks))
    pairs = failing_pairs.transform(results.where(of_weeks), runs.where(of_weeks), all_tests)
    return [
        Replacement(DAILY_JOB_HEALTH, daily, "run_date", days, properties=mark),
        Replacement(WEEKLY_TEST_HEALTH, weekly, "week_date", weeks, properties=mark),
        Replacement(FAILING_PAIRS, pairs, "week_date", own_weeks, properties=mark),
    ]
