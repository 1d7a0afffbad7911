"""EXAMPLE: each prediction with the next final result of its test in its job."""

from __future__ import annotations

from cilake.contracts.predictions.example_model_outcomes import HORIZON_DAYS

from cilake.contracts.vocabulary.ci import UNDECIDED
from cilake.lake.literals import listed
from cilake.transforms.engines import Engine, Rows

QUERY = f"""
WITH following AS (
    SELECT made.job_key, made.test_key, made.prediction_date,
        min_by(results.run_key, struct(results.started_at, results.run_key)) AS run_key,
        min_by(results.test_status, struct(results.started_at, results.run_key)) AS test_status
    FROM example_model AS made
    JOIN test_results AS results ON made.job_key = results.job_key AND made.test_key = results.test_key
        AND results.run_date BETWEEN made.prediction_date + 1 AND made.prediction_date + {HORIZON_DAYS}
    WHERE results.test_status NOT IN {listed(UNDECIDED)}
    GROUP BY made.job_key, made.test_key, made.prediction_date
)
SELECT made.*, following.run_key,
    following.test_status = 'failed' AS has_failed,
    abstain_reason IS NOT NULL AS has_abstained
FROM example_model AS made
JOIN following ON made.job_key = following.job_key AND made.test_key = following.test_key
    AND made.prediction_date = following.prediction_date
"""


def transform(engine: Engine[Rows], *, example_model: Rows, ci_runs: Rows, test_results: Rows) -> Rows:
    """Return rows of ``predictions.example_model_outcomes`` for predictions with a result in the horizon.

    A correction shows in ``ci_runs``, of which nothing else is needed.
    """
    return engine.sql(QUERY, example_model=example_model, test_results=test_results)
