"""Daily job health: runs and results of each job on each day."""

from __future__ import annotations

from cilake.contracts.vocabulary.ci import FAILING, PASSING, RUNNING
from cilake.lake.literals import listed, quoted
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import RESULTS_OF_TESTS

QUERY = f"""
WITH by_day AS (
    SELECT job_key, run_date,
        count(*) AS run_count,
        count_if(result IN {listed(PASSING)}) AS run_passed_count,
        count_if(result IN {listed(FAILING)}) AS run_failed_count,
        count_if(result = {quoted(RUNNING)}) AS run_running_count,
        sum(passed_count) AS passed_count,
        sum(failed_count) AS failed_count,
        sum(flaky_count) AS flaky_count,
        sum(running_count) AS running_count,
        sum(test_count) AS test_count,
        sum(passed_count + failed_count + flaky_count) AS ended_count
    FROM ci_runs GROUP BY job_key, run_date
),
last_failed AS (
    SELECT job_key, run_date, max(started_at) AS last_failed_at,
        max_by(run_url, struct(started_at, run_key)) AS last_failed_run_url
    FROM ci_runs WHERE result IN {listed(FAILING)} GROUP BY job_key, run_date
),
failing AS (
    SELECT runs.job_key, runs.run_date, array_sort(collect_set(failures.test_key)) AS failing_test_keys
    FROM ci_runs AS runs LEFT JOIN (
        SELECT run_key, test_key FROM {RESULTS_OF_TESTS} WHERE test_status IN {listed(FAILING)}
    ) AS failures ON runs.run_key = failures.run_key
    GROUP BY runs.job_key, runs.run_date
)
SELECT by_day.*, job_name, release, platform, last_failed_at, last_failed_run_url, failing_test_keys,
    cardinality(failing_test_keys) AS failing_test_count,
    test_count - ended_count - running_count AS other_count,
    CASE WHEN ended_count > 0 THEN passed_count / ended_count END AS pass_ratio
FROM by_day
JOIN ci_jobs ON by_day.job_key = ci_jobs.job_key
JOIN failing ON by_day.job_key = failing.job_key AND by_day.run_date = failing.run_date
LEFT JOIN last_failed ON by_day.job_key = last_failed.job_key AND by_day.run_date = last_failed.run_date
"""


def transform(engine: Engine[Rows], *, ci_runs: Rows, ci_jobs: Rows, tests: Rows, test_results: Rows) -> Rows:
    """Return the rows of ``kpi.daily_job_health`` for the days of the given runs and results."""
    return engine.sql(QUERY, ci_runs=ci_runs, ci_jobs=ci_jobs, tests=tests, test_results=test_results)
