"""Failing pairs: tests that fail in the same runs, week by week."""

from __future__ import annotations

from cilake.contracts.vocabulary.ci import FAILING, UNDECIDED
from cilake.lake.literals import listed
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import RESULTS_OF_TESTS

MAX_FAILURES = 100
"""A run with more failing tests broke as a whole; its pairs would outnumber all others."""
MIN_TOGETHER = 3
MIN_CORRELATION = 0.5
QUERY = f"""
WITH results AS (SELECT * FROM {RESULTS_OF_TESTS}),
failures AS (SELECT DISTINCT run_key, test_key FROM results WHERE test_status IN {listed(FAILING)}),
broken AS (SELECT run_key FROM failures GROUP BY run_key HAVING count(*) > {MAX_FAILURES}),
counted AS (
    SELECT runs.run_key, job_key, started_at, run_url,
        cast(date_trunc('week', run_date) AS date) AS week_date,
        row_number() OVER (
            PARTITION BY date_trunc('week', run_date) ORDER BY started_at, runs.run_key
        ) AS place
    FROM ci_runs AS runs ANTI JOIN broken ON runs.run_key = broken.run_key
),
failed AS (
    SELECT week_date, job_key, test_key, place
    FROM counted JOIN failures ON counted.run_key = failures.run_key
),
frequent AS (
    SELECT week_date, test_key, place
    FROM (SELECT *, count(*) OVER (PARTITION BY week_date, test_key) AS failed_count FROM failed)
    WHERE failed_count >= {MIN_TOGETHER}
),
halves AS (
    SELECT one.week_date, one.test_key, other.test_key AS other_test_key,
        count(*) AS together_count, max(one.place) AS last_place
    FROM frequent AS one
    JOIN frequent AS other
        ON one.week_date = other.week_date AND one.place = other.place AND one.test_key < other.test_key
    GROUP BY one.week_date, one.test_key, other.test_key HAVING count(*) >= {MIN_TOGETHER}
),
together AS (
    SELECT week_date, test_key, other_test_key, together_count, last_place FROM halves
    UNION ALL SELECT week_date, other_test_key, test_key, together_count, last_place FROM halves
),
ran AS (
    SELECT DISTINCT cast(date_trunc('week', run_date) AS date) AS week_date, job_key, test_key
    FROM results WHERE test_status NOT IN {listed(UNDECIDED)}
),
by_job AS (
    SELECT ran.week_date, ran.job_key, ran.test_key, runs.run_count,
        coalesce(fails.failed_count, 0) AS failed_count
    FROM ran
    JOIN (SELECT week_date, job_key, count(*) AS run_count FROM counted GROUP BY week_date, job_key) AS runs
        ON ran.week_date = runs.week_date AND ran.job_key = runs.job_key
    LEFT JOIN (
        SELECT week_date, job_key, test_key, count(*) AS failed_count FROM failed
        GROUP BY week_date, job_key, test_key
    ) AS fails
        ON ran.week_date = fails.week_date AND ran.job_key = fails.job_key AND ran.test_key = fails.test_key
),
pairs AS (
    SELECT pair.week_date, pair.test_key, pair.other_test_key,
        max(together_count) AS together_count,
        max(last_place) AS last_place,
        sum(one.run_count) AS run_count,
        sum(one.failed_count) AS failed_count,
        sum(other.failed_count) AS other_failed_count
    FROM together AS pair
    JOIN by_job AS one ON pair.week_date = one.week_date AND pair.test_key = one.test_key
    JOIN by_job AS other ON pair.week_date = other.week_date AND pair.other_test_key = other.test_key
        AND one.job_key = other.job_key
    GROUP BY pair.week_date, pair.test_key, pair.other_test_key
),
varying AS (
    SELECT *, sqrt(
        cast(failed_count AS double) * (run_count - failed_count)
        * other_failed_count * (run_count - other_failed_count)
    ) AS spread FROM pairs
),
correlated AS (
    SELECT *, (
        cast(run_count AS double) * together_count - cast(failed_count AS double) * other_failed_count
    ) / spread AS failure_correlation
    FROM varying WHERE spread > 0
)
SELECT correlated.*, one.test_name, other.test_name AS other_test_name,
    runs.started_at AS last_together_at, runs.run_url AS last_together_run_url
FROM correlated
JOIN counted AS runs ON correlated.week_date = runs.week_date AND last_place = runs.place
JOIN tests AS one ON correlated.test_key = one.test_key
JOIN tests AS other ON correlated.other_test_key = other.test_key
WHERE failure_correlation >= {MIN_CORRELATION}
"""
"""The correlation is Pearson's coefficient of two binary columns, from their counts.

Pairs outnumber all else here: only tests that failed often enough are paired, each pair once, and of its runs
only numbers are carried.
"""


def transform(engine: Engine[Rows], *, ci_runs: Rows, tests: Rows, test_results: Rows) -> Rows:
    """Return the rows of ``kpi.failing_pairs`` for the weeks that results and runs hold in full.

    A pair is counted over the runs of the jobs in which both tests ran: those of other jobs, in which neither
    can fail, would make any two tests look alike.
    """
    return engine.sql(QUERY, ci_runs=ci_runs, tests=tests, test_results=test_results)
