"""What was predicted for each job each night, and what came of it."""

from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_day
from cilake.contracts.vocabulary.ci import JOB_KEY, JOB_NAME, PLATFORM, RELEASE
from cilake.contracts.vocabulary.prediction import MODEL_NAME, MODEL_VERSION, PREDICTION_DATE

TABLE = Table(
    address="kpi.daily_predictions",
    title="Daily predictions",
    grain="One row per model, job, decision day and model version.",
    description="Predictions, abstentions and their errors as sums, so that they can be added up over any slice. "
    "What was measured are predictions with an outcome on which the model did not abstain.",
    columns=(
        MODEL_NAME,
        PREDICTION_DATE,
        JOB_KEY,
        JOB_NAME,
        RELEASE,
        PLATFORM,
        MODEL_VERSION,
        Column("prediction_count", "bigint", "Predictions made.", unit="predictions", example=3),
        Column("too_few_runs_count", "bigint", "Abstentions because the test has run too rarely.", unit="predictions", example=1),
        Column("stale_input_count", "bigint", "Abstentions because no run of the job has come for long, or no tab that shows it was obtained.", unit="predictions", example=0),
        Column("unseen_job_count", "bigint", "Abstentions because the job is new.", unit="predictions", example=0),
        Column("measured_count", "bigint", "Predictions with an outcome, without abstentions.", unit="predictions", example=2),
        Column("failure_count", "bigint", "Outcomes among them that were failures.", unit="predictions", example=1),
        Column("expected_failures", "double", "Sum of the probabilities of what was measured: near the failures when calibrated.", unit="predictions", example=0.9),
        Column("model_loss", "double", "Sum of the log losses of the served probabilities.", unit="nats", example=0.3),
        Column("shrunken_loss", "double", "Sum of the log losses of the shrunken history rate on the same decisions.", unit="nats", example=0.4),
    ),
    primary_key=("model_name", "job_key", "prediction_date", "model_version"),
    write_mode="replace_partition",
    partition_by=("model_name", "months(prediction_date)"),
    sort_by=("prediction_date", "job_key"),
    inputs=("predictions.test_failure", "predictions.test_failure_outcomes", "core.ci_jobs"),
    made_by="measure_test_failure",
    rebuild=by_day("prediction_date", about=("predictions.test_failure", "predictions.test_failure_outcomes")),
    freshness_hours=36,
    shown_on="predictions",
    example_query="select release, sum(measured_count) as decision_count, sum(model_loss) / sum(measured_count) as log_loss "
    "from kpi.daily_predictions group by 1 having sum(measured_count) > 0 order by 2 desc",
)
