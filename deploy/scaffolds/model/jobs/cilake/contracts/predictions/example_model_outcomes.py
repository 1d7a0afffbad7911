"""What happened after each prediction of the model ``example_model``."""

from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_day
from cilake.contracts.vocabulary.ci import JOB_KEY, RUN_KEY, TEST_KEY
from cilake.contracts.vocabulary.prediction import MODEL_VERSION, PREDICTION_DATE

HORIZON_DAYS = 14
"""How long after the decision day the next result is an outcome."""

TABLE = Table(
    address="predictions.example_model_outcomes",
    title="EXAMPLE: outcomes",
    grain="One row per prediction whose next result is known.",
    description="Joins each prediction with the first final result of the test in the job after the decision day.",
    columns=(
        JOB_KEY,
        TEST_KEY,
        PREDICTION_DATE,
        MODEL_VERSION,
        RUN_KEY,
        Column("has_failed", "boolean", "The next result was a failure.", example=False),
        Column("failure_probability", "double", "The forecast of the model.", unit="probability", example=0.01),
        Column("history_probability", "double", "The forecast of the baseline.", unit="probability", example=0.01),
        Column("has_abstained", "boolean", "The model abstained.", example=False),
    ),
    primary_key=("job_key", "test_key", "prediction_date"),
    write_mode="replace_partition",
    partition_by=("prediction_date",),
    sort_by=("job_key",),
    inputs=("predictions.example_model", "core.ci_runs", "core.test_results"),
    feeds=("predictions.accuracy", "kpi.calibration_bins"),
    made_by="measure_example_model",
    rebuild=by_day("prediction_date", lookahead_days=HORIZON_DAYS, about=("predictions.example_model",)),
    freshness_hours=60,
    may_be_empty=True,
    shown_on="predictions",
    example_query="select prediction_date, count_if(has_failed) as failed_count "
    "from predictions.example_model_outcomes group by 1 order by 1",
)
