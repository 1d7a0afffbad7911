"""Accuracy: how good the predictions of a model were, next to its baselines on the same decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from cilake.contracts.model_spec import Model
from cilake.contracts.predictions.accuracy import FINAL_AGE_DAYS, TABLE
from cilake.transforms.measures import ACCURACY_SCHEMA, evaluate

_MEASURED = pa.schema(
    [
        ("model_version", pa.string()),
        ("prediction_date", pa.date32()),
        ("abstain_ratio", pa.float64()),
        ("decided_count", pa.int64()),
        *ACCURACY_SCHEMA,
    ]
)


def transform(
    *, outcomes: DataFrame, predictions: DataFrame, model: Model, newest_run_date: date | None
) -> DataFrame:
    """Return rows of ``predictions.accuracy`` for the days of a model's predictions and their outcomes.

    One day's outcomes are measured by one worker.
    """
    made = predictions.groupBy("prediction_date", "model_version").agg(F.count("*").alias("made_count"))
    measured = outcomes.groupBy("prediction_date", "model_version").applyInArrow(
        day_measurer(model, outcomes.columns), from_arrow_schema(_MEASURED)
    )
    age = F.least(F.datediff(F.lit(newest_run_date), "prediction_date"), F.lit(FINAL_AGE_DAYS))
    return (
        measured.join(made, ["prediction_date", "model_version"])
        .select(
            F.lit(model.name).alias("model_name"),
            F.col("prediction_date"),
            F.col("model_version"),
            age.alias("outcome_age_days"),
            (F.col("decided_count") / F.col("made_count")).alias("decided_ratio"),
            F.col("abstain_ratio"),
            *ACCURACY_SCHEMA.names,
        )
        .select(TABLE.column_names)
    )


def day_measurer(model: Model, columns: list[str]) -> Callable[[pa.Table], pa.Table]:
    """Return a function to the measures of each scorer on the outcomes of one day and version.

    Abstentions are left out.
    """
    # In one order, so that the same outcomes have the same sums to the last bit.
    order = [(name, "ascending") for name in columns if name.endswith("_key")]

    def measure_day(known: pa.Table) -> pa.Table:
        answered = known.filter(pc.invert(known["has_abstained"])).sort_by(order)
        if not answered.num_rows:
            return _MEASURED.empty_table()
        forecasts = {scorer: answered[column].to_numpy() for scorer, column in model.scorers.items()}
        measures = evaluate(forecasts, answered[model.label].to_numpy(zero_copy_only=False))
        head = {
            "model_version": answered["model_version"][0].as_py(),
            "prediction_date": answered["prediction_date"][0].as_py(),
            "abstain_ratio": 1 - answered.num_rows / known.num_rows,
            "decided_count": known.num_rows,
        }
        return pa.Table.from_pylist([head | row for row in measures.to_pylist()], schema=_MEASURED)

    return measure_day
