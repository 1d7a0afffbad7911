"""Outcomes: each prediction with the next final result of its test in its job."""

from __future__ import annotations

from cilake.contracts.predictions.test_failure_outcomes import HORIZON_DAYS
from cilake.contracts.vocabulary.ci import UNDECIDED
from cilake.lake.literals import listed
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import RESULTS_OF_TESTS

QUERY = f"""
WITH first_of_day AS (
    SELECT job_key, test_key, run_date, min(started_at) AS outcome_at,
        min_by(run_key, struct(started_at, run_key)) AS run_key,
        min_by(test_status, struct(started_at, run_key)) AS test_status,
        min_by(known_at, struct(started_at, run_key)) AS known_at
    FROM {RESULTS_OF_TESTS} WHERE test_status NOT IN {listed(UNDECIDED)}
    GROUP BY job_key, test_key, run_date
),
following AS (
    SELECT *, greatest(
        lag(run_date) OVER (PARTITION BY job_key, test_key ORDER BY run_date), run_date - {HORIZON_DAYS}
    ) AS earliest
    FROM first_of_day
)
SELECT made.job_key, made.test_key, made.prediction_date, made.model_version,
    following.run_key, following.outcome_at, following.known_at,
    following.test_status = 'failed' AS has_failed,
    failure_probability, shrunken_probability, base_rate_probability, last_value_probability,
    abstain_reason IS NOT NULL AS has_abstained
FROM test_failure AS made
JOIN following ON made.job_key = following.job_key AND made.test_key = following.test_key
    AND made.prediction_date >= following.earliest AND made.prediction_date < following.run_date
"""
"""A day's first result is the outcome of the decisions since the day of the result before it."""


def transform(
    engine: Engine[Rows], *, test_failure: Rows, ci_runs: Rows, tests: Rows, test_results: Rows
) -> Rows:
    """Return rows of ``predictions.test_failure_outcomes``: predictions with a next result in the horizon.

    The decision is made when ``prediction_date`` ends; the outcome is the first result of a run started
    after it (ties by run key) in which the test ran, failed or not. ``test_results`` reach over the horizon.
    A correction shows in ``ci_runs``, of which nothing else is needed.
    """
    return engine.sql(QUERY, test_failure=test_failure, tests=tests, test_results=test_results)
