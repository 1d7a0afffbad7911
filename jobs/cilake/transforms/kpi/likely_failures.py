"""Likely failures: the ledger's predictions of 1 % or more, with names and the last failing run."""

from __future__ import annotations

from cilake.contracts.kpi.likely_failures import LOOKBACK_DAYS
from cilake.contracts.vocabulary.ci import FAILING
from cilake.lake.literals import listed
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import double

MIN_PROBABILITY = 0.01
QUERY = f"""
WITH likely AS (
    SELECT * FROM test_failure
    WHERE abstain_reason IS NULL AND failure_probability >= {double(MIN_PROBABILITY)}
),
failures AS (
    SELECT /*+ BROADCAST(likely) */ likely.job_key, likely.test_key, likely.prediction_date,
        max_by(results.run_key, struct(results.started_at, results.run_key)) AS run_key
    FROM test_results AS results
    JOIN likely ON results.job_key = likely.job_key AND results.test_key = likely.test_key
        AND results.run_date BETWEEN likely.prediction_date - {LOOKBACK_DAYS} AND likely.prediction_date
    WHERE test_status IN {listed(FAILING)}
    GROUP BY likely.job_key, likely.test_key, likely.prediction_date
),
last_failed AS (
    SELECT failures.*, started_at AS last_failed_at, run_url AS last_failed_run_url
    FROM failures JOIN ci_runs ON failures.run_key = ci_runs.run_key
)
SELECT likely.*, 'test_failure' AS model_name, job_name, release, platform, test_name,
    last_failed_at, last_failed_run_url
FROM likely
JOIN ci_jobs ON likely.job_key = ci_jobs.job_key
JOIN tests ON likely.test_key = tests.test_key AND NOT tests.is_verdict
LEFT JOIN last_failed ON likely.job_key = last_failed.job_key AND likely.test_key = last_failed.test_key
    AND likely.prediction_date = last_failed.prediction_date
"""


def transform(
    engine: Engine[Rows],
    *,
    test_failure: Rows,
    ci_jobs: Rows,
    tests: Rows,
    ci_runs: Rows,
    test_results: Rows,
) -> Rows:
    """Return rows of ``kpi.likely_failures`` for the given predictions.

    ``test_results`` and ``ci_runs`` reach from ``LOOKBACK_DAYS`` before each decision day to that day.
    """
    return engine.sql(
        QUERY,
        test_failure=test_failure,
        ci_jobs=ci_jobs,
        tests=tests,
        ci_runs=ci_runs,
        test_results=test_results,
    )
