"""The nightly ledger of failure predictions."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.ci import JOB_KEY, TEST_KEY
from cilake.contracts.vocabulary.prediction import MODEL_VERSION, PREDICTION_DATE

TABLE = Table(
    address="predictions.test_failure",
    title="Test failure predictions",
    grain="One row per job, test and decision day.",
    description="Will this test fail in the next run of this job? Made once a night for every test with a result "
    "in the job within 14 days, and never changed afterwards. Abstained rows keep their probability but say why "
    "it should not be relied on.",
    columns=(
        JOB_KEY,
        TEST_KEY,
        PREDICTION_DATE,
        Column("failure_probability", "double", "Probability that the next result is a failure.", unit="probability", example=0.01),
        Column("shrunken_probability", "double", "Serious baseline: the shrunken history rate of the test in the job.", unit="probability", example=0.01),
        Column("base_rate_probability", "double", "Weak baseline: the overall failure rate.", unit="probability", example=0.01),
        Column("last_value_probability", "double", "Weak baseline: the last result, 1 if it failed.", unit="probability", example=0.0),
        Column("top_reasons", "string", "The strongest reasons, in words.", nullable=True, example="failed in 4 of the last 5 runs"),
        Column("abstain_reason", "string", "Why the prediction should not be relied on (the test or the job is new, or no run of the job has come for long, or no tab that shows it was obtained); null when it may be.", nullable=True,
               allowed=("too_few_runs", "stale_input", "unseen_job"), example="too_few_runs"),
        MODEL_VERSION,
        Column("feature_snapshot_id", "bigint", "Iceberg snapshot of core.test_results that the features were read from.", example=1),
        Column("runs_snapshot_id", "bigint", "Iceberg snapshot of core.ci_runs they were read from, pinned with the other.", example=1),
        Column("scored_at", "timestamp", "When the row was made, by our clock, UTC.", example="2021-06-22T02:00:00Z"),
    ),
    primary_key=("job_key", "test_key", "prediction_date"),
    write_mode="ledger",
    partition_by=("months(prediction_date)",),
    sort_by=("prediction_date", "job_key"),
    inputs=("core.test_results", "core.ci_runs", "core.ci_run_observations", "ops.fetches", "ops.model_versions"),
    feeds=("predictions.accuracy",),
    made_by="score_test_failure",
    # The ledger only grows, so the number of its rows by day and version shows what came.
    change_columns=("model_version",),
    freshness_hours=36,
    key_slices=4,
    shown_on="predictions",
    caveats=(
        "Both snapshots are kept for 90 days by the tag `score_test_failure_<prediction_date>` on core.test_results and "
        "core.ci_runs; after that the ids name snapshots that are gone. For a past day, runs that changed since are read from "
        "core.ci_run_observations, which has the same tag.",
        "`stale_input` is also given where no tab that shows the job was obtained, and not stale, by the landing of the day "
        "as it was when the row was made; `ops.fetches` names them. A landing repeated later does not change the row.",
    ),
    example_query="select j.job_name, t.test_name, p.failure_probability, p.top_reasons from predictions.test_failure p "
    "join core.ci_jobs j using (job_key) join core.tests t using (test_key) where p.abstain_reason is null "
    "order by p.prediction_date desc, p.failure_probability desc limit 12",
)
