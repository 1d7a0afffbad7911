"""Calibration bins: forecasts against what happened, for the model and its serious baseline."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.kpi.calibration_bins import BIN_EDGES, TABLE
from cilake.contracts.model_spec import MODEL_SCORER, Model
from cilake.transforms.sums import exact_sum


def transform(*, outcomes: DataFrame, model: Model) -> DataFrame:
    """Return rows of ``kpi.calibration_bins`` for the days of a model's outcomes."""
    compared = {scorer: model.scorers[scorer] for scorer in (MODEL_SCORER, model.gate.baseline)}
    forecasts = F.explode(
        F.array(
            *[
                F.struct(F.lit(scorer).alias("scorer"), F.col(column).alias("probability"))
                for scorer, column in compared.items()
            ]
        )
    ).alias("forecast")
    scored = outcomes.where(~F.col("has_abstained")).select(
        F.lit(model.name).alias("model_name"), "prediction_date", "model_version", model.label, forecasts
    )
    probability = F.col("forecast.probability")
    return (
        scored.groupBy(
            "model_name",
            "prediction_date",
            "model_version",
            F.col("forecast.scorer").alias("scorer"),
            _edge(probability, BIN_EDGES[:-1]).alias("from_probability"),
            _edge(probability, BIN_EDGES[1:]).alias("to_probability"),
        )
        .agg(
            F.count("*").alias("decision_count"),
            F.count_if(model.label).alias("failure_count"),
            exact_sum(probability).alias("expected_failures"),
        )
        .select(TABLE.column_names)
    )


def _edge(probability: Column, edges: tuple[float, ...]) -> Column:
    """Return the edge in the place of the bin that holds the probability; the last bin holds 1 too."""
    chosen = F.lit(edges[0])
    for lower, edge in zip(BIN_EDGES[1:-1], edges[1:], strict=True):
        chosen = F.when(probability >= lower, F.lit(edge)).otherwise(chosen)
    return chosen
