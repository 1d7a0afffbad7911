"""Forecasts against what happened, in bins of the forecast."""

from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_day
from cilake.contracts.vocabulary.prediction import MODEL_NAME, MODEL_VERSION, PREDICTION_DATE

BIN_EDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0)
"""Edges of the bins: failures are rare, so most bins lie below 0.1."""

TABLE = Table(
    address="kpi.calibration_bins",
    title="Calibration bins",
    grain="One row per model, decision day, model version, scorer and bin of probability with a decision in it.",
    description="On a calibrated scorer the failures of a bin are near the sum of its probabilities.",
    columns=(
        MODEL_NAME,
        PREDICTION_DATE,
        MODEL_VERSION,
        Column("scorer", "string", "Who predicted: `model`, or the baseline that its gate compares it with.", example="model"),
        Column("from_probability", "double", "Lower edge of the bin, in it.", unit="probability", example=0.1),
        Column("to_probability", "double", "Upper edge of the bin; in it for the last one only.", unit="probability", example=0.3),
        Column("decision_count", "bigint", "Measured predictions in the bin.", unit="decisions", example=10),
        Column("failure_count", "bigint", "Outcomes among them that were failures.", unit="decisions", example=2),
        Column("expected_failures", "double", "Sum of their probabilities.", unit="decisions", example=1.9),
    ),
    primary_key=("model_name", "prediction_date", "model_version", "scorer", "from_probability"),
    write_mode="replace_partition",
    partition_by=("model_name", "months(prediction_date)"),
    sort_by=("prediction_date", "scorer", "from_probability"),
    made_by="measure",
    rebuild=by_day("prediction_date"),
    freshness_hours=60,
    may_be_empty=True,
    shown_on="predictions",
    example_query="select from_probability, sum(expected_failures) / sum(decision_count) as forecast_ratio, "
    "sum(failure_count) * 1e0 / sum(decision_count) as failed_ratio from kpi.calibration_bins where scorer = 'model' group by 1 order by 1",
)
