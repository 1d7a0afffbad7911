"""What happened after each prediction of a test failure."""

from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_day
from cilake.contracts.vocabulary.ci import JOB_KEY, KNOWN_AT, RUN_KEY, TEST_KEY
from cilake.contracts.vocabulary.prediction import MODEL_VERSION, PREDICTION_DATE

HORIZON_DAYS = 14
"""How long after the decision day the next result is an outcome."""

TABLE = Table(
    address="predictions.test_failure_outcomes",
    title="Outcomes of test failure predictions",
    grain="One row per prediction whose next result is known.",
    description="Joins each prediction with the first final result of the test in the job after the decision day. "
    "A result that is corrected later, however late, is followed.",
    columns=(
        JOB_KEY,
        TEST_KEY,
        PREDICTION_DATE,
        MODEL_VERSION,
        RUN_KEY,
        Column("outcome_at", "timestamp", "When the run with the next result started, UTC.", example="2021-06-22T05:00:00Z"),
        Column("has_failed", "boolean", "The next result was a failure.", example=False),
        Column("failure_probability", "double", "The forecast of the model.", unit="probability", example=0.01),
        Column("shrunken_probability", "double", "The forecast of the shrunken history rate.", unit="probability", example=0.01),
        Column("base_rate_probability", "double", "The forecast of the base rate.", unit="probability", example=0.01),
        Column("last_value_probability", "double", "The forecast of the last value.", unit="probability", example=0.0),
        Column("has_abstained", "boolean", "The model abstained.", example=False),
        KNOWN_AT,
    ),
    primary_key=("job_key", "test_key", "prediction_date"),
    write_mode="replace_partition",
    partition_by=("prediction_date",),
    sort_by=("job_key",),
    inputs=("predictions.test_failure", "core.ci_runs", "core.tests", "core.test_results"),
    feeds=("predictions.accuracy", "kpi.calibration_bins"),
    made_by="measure_test_failure",
    rebuild=by_day("prediction_date", lookahead_days=HORIZON_DAYS, about=("predictions.test_failure",)),
    freshness_hours=60,
    may_be_empty=True,
    shown_on="predictions",
    caveats=("A prediction whose test has not run again within 14 days has no outcome.",),
    example_query="select prediction_date, count(*) as outcome_count, count_if(has_failed) as failed_count "
    "from predictions.test_failure_outcomes group by 1 order by 1",
)
