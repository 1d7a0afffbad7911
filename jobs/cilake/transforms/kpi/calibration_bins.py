"""Calibration bins: forecasts against what happened, for the model and its serious baseline."""

from __future__ import annotations

from cilake.contracts.kpi.calibration_bins import BIN_EDGES
from cilake.contracts.model_spec import MODEL_SCORER, Model
from cilake.lake.literals import quoted
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import double, exact_sum


def transform(engine: Engine[Rows], *, outcomes: Rows, model: Model) -> Rows:
    """Return rows of ``kpi.calibration_bins`` for the days of a model's outcomes."""
    compared = {scorer: model.scorers[scorer] for scorer in (MODEL_SCORER, model.gate.baseline)}
    forecasts = " UNION ALL ".join(
        f"SELECT {quoted(scorer)} AS scorer, {column} AS probability, prediction_date, model_version,"
        f" {model.label} AS has_happened FROM outcomes WHERE NOT has_abstained"
        for scorer, column in compared.items()
    )
    query = f"""
    WITH binned AS (
        SELECT *, {_edge(BIN_EDGES[:-1])} AS from_probability, {_edge(BIN_EDGES[1:])} AS to_probability
        FROM ({forecasts})
    )
    SELECT {quoted(model.name)} AS model_name, prediction_date, model_version, scorer,
        from_probability, to_probability,
        count(*) AS decision_count,
        count_if(has_happened) AS failure_count,
        {exact_sum("probability")} AS expected_failures
    FROM binned
    GROUP BY prediction_date, model_version, scorer, from_probability, to_probability
    """
    return engine.sql(query, outcomes=outcomes)


def _edge(edges: tuple[float, ...]) -> str:
    """Return the edge at the index of the bin that holds the probability; the last bin holds 1 too."""
    lower_bounds = [*zip(BIN_EDGES[1:-1], edges[1:], strict=True)][::-1]
    cases = (f"WHEN probability >= {double(lower)} THEN {double(edge)}" for lower, edge in lower_bounds)
    return f"CASE {' '.join(cases)} ELSE {double(edges[0])} END"
