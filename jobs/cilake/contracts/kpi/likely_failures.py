"""The tests most likely to fail in the next run of their job."""

from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_day
from cilake.contracts.vocabulary.ci import (
    JOB_KEY,
    JOB_NAME,
    LAST_FAILED_RUN_URL,
    PLATFORM,
    RELEASE,
    TEST_KEY,
    TEST_NAME,
)
from cilake.contracts.vocabulary.prediction import MODEL_NAME, MODEL_VERSION, PREDICTION_DATE

LOOKBACK_DAYS = 28
"""How far back the last failing run is looked for."""

TABLE = Table(
    address="kpi.likely_failures",
    title="Likely failures",
    grain="One row per model, job, test and decision day with a failure probability of 1 % or more.",
    description="The part of the ledger that people look at: names, reasons and the last run in which the test failed. "
    "Predictions on which the model abstained are left out.",
    columns=(
        MODEL_NAME,
        PREDICTION_DATE,
        JOB_KEY,
        TEST_KEY,
        JOB_NAME,
        TEST_NAME,
        RELEASE,
        PLATFORM,
        Column("failure_probability", "double", "Probability that the next result is a failure.", unit="probability", example=0.5),
        Column("shrunken_probability", "double", "Serious baseline: the shrunken history rate of the test in the job.", unit="probability", example=0.4),
        Column("top_reasons", "string", "The strongest reasons, in words.", nullable=True, example="failed in 4 of the last 5 runs"),
        MODEL_VERSION,
        Column("last_failed_at", "timestamp", "When the last run in which it failed started, UTC; null when there was none in 28 days.", nullable=True, example="2021-06-21T13:00:00Z"),
        LAST_FAILED_RUN_URL,
    ),
    primary_key=("model_name", "job_key", "test_key", "prediction_date"),
    write_mode="replace_partition",
    partition_by=("model_name", "months(prediction_date)"),
    sort_by=("prediction_date", "failure_probability"),
    inputs=("predictions.test_failure", "core.ci_jobs", "core.tests", "core.ci_runs", "core.test_results"),
    made_by="build_kpi_predictions",
    rebuild=by_day("prediction_date", lookback_days=LOOKBACK_DAYS, about=("predictions.test_failure",)),
    freshness_hours=36,
    may_be_empty=True,
    shown_on="flaky-and-failing-tests",
    example_query="select failure_probability, job_name, test_name, top_reasons from kpi.likely_failures "
    "where prediction_date = (select max(prediction_date) from kpi.likely_failures) order by 1 desc limit 12",
)
