"""EXAMPLE: each prediction with the next final result of its test in its job."""

from __future__ import annotations

from cilake.contracts.predictions.example_model_outcomes import HORIZON_DAYS, TABLE
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.contracts.columns import UNDECIDED


def transform(*, example_model: DataFrame, ci_runs: DataFrame, test_results: DataFrame) -> DataFrame:
    """Return rows of ``predictions.example_model_outcomes`` for predictions with a result in the horizon.

    A correction shows in ``ci_runs``, of which nothing else is needed.
    """
    ahead = F.datediff("run_date", "prediction_date")
    entity = ["job_key", "test_key", "prediction_date"]
    following = (
        test_results.where(~F.col("test_status").isin(*UNDECIDED))
        .join(example_model, ["job_key", "test_key"])
        .where(ahead.between(1, HORIZON_DAYS))
    )
    order = F.struct("started_at", "run_key")
    first = following.groupBy(*entity).agg(F.min_by(F.struct("run_key", "test_status"), order).alias("next"))
    return (
        first.join(example_model, entity)
        .withColumns(
            {
                "run_key": F.col("next.run_key"),
                "has_failed": F.col("next.test_status") == "failed",
                "has_abstained": F.col("abstain_reason").isNotNull(),
            }
        )
        .select(TABLE.column_names)
    )
