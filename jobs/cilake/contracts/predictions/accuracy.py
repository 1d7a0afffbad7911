"""How good the predictions were."""

from cilake.contracts.kpi.calibration_bins import BIN_EDGES
from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_day
from cilake.contracts.vocabulary.prediction import MODEL_NAME, MODEL_VERSION, PREDICTION_DATE

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1 where a loss is taken: one surprise costs much, not everything."""
FINAL_AGE_DAYS = 14
"""The age from which on a day is compared with others."""

TABLE = Table(
    address="predictions.accuracy",
    title="Measured accuracy of predictions",
    grain="One row per model, version, decision day and scorer (the model or a baseline).",
    description="Error and calibration of what was predicted, next to the baselines on the same decisions. "
    "Only predictions with an outcome that did not abstain are counted. Which tests have run again by then differs: "
    "compare days of the same age, and days of 14 days of age for a final measure.",
    columns=(
        MODEL_NAME,
        MODEL_VERSION,
        PREDICTION_DATE,
        Column("scorer", "string", "Who predicted: `model`, or one of the baselines that the card of the model names.", example="model"),
        Column("decision_count", "bigint", "Decisions with an outcome.", unit="decisions", example=1),
        Column("failure_count", "bigint", "Decisions whose outcome was a failure.", unit="decisions", example=0),
        Column("outcome_age_days", "bigint", "Days after the decision day whose results were there to be outcomes, at most 14: then all outcomes are in.", unit="days", example=14),
        Column("decided_ratio", "double", "Share of the day's predictions that have an outcome, abstentions included.", unit="ratio", example=0.9),
        Column("abstain_ratio", "double", "Share of the day's measured predictions on which the model abstained.", unit="ratio", example=0.0),
        Column("brier", "double", "Mean squared error of the probability; less is better.", example=0.0),
        Column("log_loss", "double", "Mean negative log likelihood, in nats; less is better.", unit="nats", example=0.0),
        Column("average_precision", "double", "Area under precision over recall; null when nothing failed.", nullable=True, example=1.0),
        Column("calibration_error", "double", f"Mean gap between probability and frequency over {len(BIN_EDGES) - 1} bins of fixed edges, those of kpi.calibration_bins.", example=0.0),
    ),
    primary_key=("model_name", "model_version", "prediction_date", "scorer"),
    write_mode="replace_partition",
    partition_by=("model_name",),
    made_by="measure",
    rebuild=by_day("prediction_date"),
    freshness_hours=60,
    may_be_empty=True,
    shown_on="predictions",
    example_query="select prediction_date, scorer, decision_count, brier, log_loss, average_precision "
    "from predictions.accuracy where outcome_age_days = 14 order by 1, 2",
)
