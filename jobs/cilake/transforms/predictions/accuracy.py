"""Accuracy: how good the predictions of a model were, next to its baselines on the same decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from cilake.contracts.model_spec import Model
from cilake.contracts.predictions.accuracy import FINAL_AGE_DAYS
from cilake.lake.literals import quoted
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.measures import ACCURACY_SCHEMA, evaluate

_MEASURED = pa.schema(
    [
        ("model_version", pa.string()),
        ("prediction_date", pa.date32()),
        ("outcome_age_days", pa.int64()),
        ("abstain_ratio", pa.float64()),
        ("decided_count", pa.int64()),
        *ACCURACY_SCHEMA,
    ]
)


def transform(
    engine: Engine[Rows], *, outcomes: Rows, predictions: Rows, model: Model, newest_run_date: date | None
) -> Rows:
    """Return rows of ``predictions.accuracy`` for the days of a model's predictions and their outcomes.

    The outcomes of one day and version are measured at a time.
    """
    measure = day_measurer(model, newest_run_date)
    measured = engine.apply_by(["prediction_date", "model_version"], measure, outcomes, _MEASURED)
    return engine.sql(_query(model), measured=measured, predictions=predictions)


def _query(model: Model) -> str:
    return f"""
    WITH made AS (
        SELECT prediction_date, model_version, count(*) AS made_count
        FROM predictions GROUP BY prediction_date, model_version
    )
    SELECT {quoted(model.name)} AS model_name, measured.*, decided_count / made_count AS decided_ratio
    FROM measured
    JOIN made ON measured.prediction_date = made.prediction_date
        AND measured.model_version = made.model_version
    """


def day_measurer(model: Model, newest_run_date: date | None) -> Callable[[pa.Table], pa.Table]:
    """Return a function to the measures of each scorer on the outcomes of one day and version.

    Abstentions are left out.
    """

    def measure_day(known: pa.Table) -> pa.Table:
        # In one order, so that the same outcomes have the same sums to the last bit.
        order = [(name, "ascending") for name in known.column_names if name.endswith("_key")]
        answered = known.filter(pc.invert(known["has_abstained"])).sort_by(order)
        if not answered.num_rows:
            return _MEASURED.empty_table()
        forecasts = {scorer: answered[column].to_numpy() for scorer, column in model.scorers.items()}
        measures = evaluate(forecasts, answered[model.label].to_numpy(zero_copy_only=False))
        day = answered["prediction_date"][0].as_py()
        age = min((newest_run_date - day).days, FINAL_AGE_DAYS) if newest_run_date else FINAL_AGE_DAYS
        head = {
            "model_version": answered["model_version"][0].as_py(),
            "prediction_date": day,
            "outcome_age_days": age,
            "abstain_ratio": 1 - answered.num_rows / known.num_rows,
            "decided_count": known.num_rows,
        }
        return pa.Table.from_pylist([head | row for row in measures.to_pylist()], schema=_MEASURED)

    return measure_day
