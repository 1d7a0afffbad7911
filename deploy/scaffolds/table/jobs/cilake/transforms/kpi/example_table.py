"""EXAMPLE: runs a day."""

from __future__ import annotations

from cilake.transforms.engines import Engine, Rows

QUERY = """
SELECT runs.run_date, runs.job_key, job_name, count(*) AS run_count
FROM ci_runs AS runs
JOIN ci_jobs AS jobs ON runs.job_key = jobs.job_key
GROUP BY runs.run_date, runs.job_key, job_name
"""


def transform(engine: Engine[Rows], *, ci_runs: Rows, ci_jobs: Rows) -> Rows:
    """Return rows of ``kpi.example_table`` for the days of the given runs."""
    return engine.sql(QUERY, ci_runs=ci_runs, ci_jobs=ci_jobs)
