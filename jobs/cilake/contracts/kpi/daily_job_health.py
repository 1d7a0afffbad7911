"""How each job did on each day."""

from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_day
from cilake.contracts.vocabulary.ci import JOB_KEY, JOB_NAME, LAST_FAILED_RUN_URL, PLATFORM, RELEASE, RUN_DATE

TABLE = Table(
    address="kpi.daily_job_health",
    title="Daily job health",
    grain="One row per job and day on which it ran.",
    description="Runs and results of a job on a day. Ratios are over results that ran to an end, not over all cells.",
    columns=(
        JOB_KEY,
        JOB_NAME,
        RELEASE,
        PLATFORM,
        RUN_DATE,
        Column("run_count", "bigint", "Runs started on the day.", unit="runs", example=1),
        Column("run_passed_count", "bigint", "Runs whose verdict is a pass.", unit="runs", example=1),
        Column("run_failed_count", "bigint", "Runs whose verdict is a failure.", unit="runs", example=0),
        Column("run_running_count", "bigint", "Runs that had not ended when they were landed last.", unit="runs", example=0),
        Column("passed_count", "bigint", "Results that passed.", unit="results", example=1),
        Column("failed_count", "bigint", "Results that failed.", unit="results", example=0),
        Column("flaky_count", "bigint", "Results that both passed and failed in a run.", unit="results", example=0),
        Column("running_count", "bigint", "Results not final yet.", unit="results", example=0),
        Column("other_count", "bigint", "Results that neither passed, failed, flaked nor run (skipped, unknown, cancelled, blocked, aborted).", unit="results", example=0),
        Column("pass_ratio", "double", "passed / (passed + failed + flaky); null when none ran to an end.", nullable=True, unit="ratio", example=1.0),
        Column("failing_test_count", "bigint", "Distinct tests that failed on the day; over several days or jobs count the distinct keys instead.", unit="tests", example=0),
        Column("failing_test_keys", "array<bigint>", "Keys of the tests that failed on the day, sorted.", example=[]),
        Column("last_failed_at", "timestamp", "When the last run of the day whose verdict is a failure started, UTC; null when there was none.", nullable=True, example=None),
        LAST_FAILED_RUN_URL,
    ),
    primary_key=("job_key", "run_date"),
    write_mode="replace_partition",
    partition_by=("months(run_date)",),
    sort_by=("run_date", "job_key"),
    inputs=("core.ci_runs", "core.ci_jobs", "core.tests", "core.test_results"),
    made_by="build_kpi_ci_health",
    rebuild=by_day("run_date"),
    freshness_hours=36,
    shown_on="ci-health",
    example_query="select job_name, 1e0 * sum(passed_count) / nullif(sum(passed_count + failed_count + flaky_count), 0) as pass_ratio from kpi.daily_job_health group by 1 order by 2 limit 20",
)
