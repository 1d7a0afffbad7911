"""Weekly test health: results, flakes, flips and failing stretches of each test in each job."""

from __future__ import annotations

from cilake.contracts.kpi.weekly_test_health import LOOKBACK_DAYS
from cilake.contracts.vocabulary.ci import FAILING, PASSING
from cilake.lake.literals import listed
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.stretches import WEEKS, summarise_weeks
from cilake.transforms.words import RESULTS_OF_TESTS

__all__ = ["LOOKBACK_DAYS", "transform"]

RESULTS = f"""
SELECT job_key, test_key, run_key, unix_micros(started_at) AS started_micros,
    test_status IN {listed(FAILING)} AS has_failed, test_status = 'flaky' AS is_flaky
FROM {RESULTS_OF_TESTS} WHERE test_status IN {listed((*PASSING, *FAILING, "flaky"))}
"""
DESCRIBED = """
SELECT /*+ BROADCAST(ci_jobs) */ weeks.*, job_name, release, platform, test_name,
    timestamp_micros(start_micros) AS started_failing_at, starts.run_url AS started_failing_run_url,
    timestamp_micros(good_micros) AS last_good_at, goods.run_url AS last_good_run_url,
    timestamp_micros(failed_micros) AS last_failed_at, fails.run_url AS last_failed_run_url
FROM weeks
JOIN ci_jobs ON weeks.job_key = ci_jobs.job_key
JOIN tests ON weeks.test_key = tests.test_key
LEFT JOIN ci_runs AS starts ON weeks.start_key = starts.run_key
LEFT JOIN ci_runs AS goods ON weeks.good_key = goods.run_key
LEFT JOIN ci_runs AS fails ON weeks.failed_key = fails.run_key
"""


def transform(engine: Engine[Rows], *, ci_runs: Rows, ci_jobs: Rows, tests: Rows, test_results: Rows) -> Rows:
    """Return the rows of ``kpi.weekly_test_health`` for the weeks of the given results.

    They are right for weeks of which the results and runs are there, and those of ``LOOKBACK_DAYS`` before.
    """
    results = engine.sql(RESULTS, test_results=test_results, tests=tests)
    weeks = engine.apply_by(["job_key"], summarise_weeks, results, WEEKS)
    return engine.sql(DESCRIBED, weeks=weeks, ci_runs=ci_runs, ci_jobs=ci_jobs, tests=tests)
