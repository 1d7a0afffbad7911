"""Columns about what models predict."""

from cilake.contracts.model import Column

PREDICTION_DATE = Column(
    "prediction_date", "date", "Decision day: the prediction uses what was known when this day ended, UTC.",
    example="2021-06-21",
)
MODEL_NAME = Column("model_name", "string", "Model that made the prediction.", example="a_model")
MODEL_VERSION = Column(
    "model_version",
    "string",
    "Version of the model, or `baseline` when none was promoted.",
    example="baseline",
)
