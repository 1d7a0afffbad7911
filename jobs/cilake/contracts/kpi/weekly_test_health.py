"""How each test did in each job, week by week."""

from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_week
from cilake.contracts.vocabulary.ci import (
    JOB_KEY,
    JOB_NAME,
    LAST_FAILED_RUN_URL,
    PLATFORM,
    RELEASE,
    TEST_KEY,
    TEST_NAME,
    WEEK_DATE,
)

MIN_GOOD_BEFORE = 5
"""How many good results in a row before a failure make it the start of failing, and not a test that flips."""
LOOKBACK_DAYS = 14
"""How far before a result its predecessors are looked for, whatever else is at hand."""

TABLE = Table(
    address="kpi.weekly_test_health",
    title="Weekly test health",
    grain="One row per job, test and week in which the test ran to an end.",
    description="Counts to make ratios from: flakes, flips, fixes and failing stretches, all over results that ran. "
    "A failing stretch is a row of failures of the test in the job, in the order in which the runs started.",
    columns=(
        JOB_KEY,
        TEST_KEY,
        WEEK_DATE,
        JOB_NAME,
        TEST_NAME,
        RELEASE,
        PLATFORM,
        Column("result_count", "bigint", "Results that ran to an end: passed, failed or flaky.", unit="results", example=3),
        Column("passed_count", "bigint", "Results that passed.", unit="results", example=1),
        Column("failed_count", "bigint", "Results that failed.", unit="results", example=2),
        Column("flaky_count", "bigint", "Results that both passed and failed in a run.", unit="results", example=0),
        Column("broken_count", "bigint", "Failures directly after a result that was none.", unit="results", example=1),
        Column("fixed_count", "bigint", "Results that were no failure directly after one.", unit="results", example=1),
        Column("stretch_count", "bigint", "Failing stretches that began.", unit="stretches", example=1),
        Column("long_stretch_count", "bigint", "Failing stretches that reached their second failure.", unit="stretches", example=1),
        Column("persistent_stretch_count", "bigint", "Failing stretches, begun after another result, that reached their third failure: those are no flips.", unit="stretches", example=0),
        Column("fix_seconds", "double", "Time from the first failure to the first result that is none, over all stretches that ended.", unit="seconds", example=86400.0),
        Column("started_failing_at", "timestamp", f"When the run of the week's newest failure after {MIN_GOOD_BEFORE} good results or more began, UTC; null when there was none.", nullable=True, example="2021-06-21T09:00:00Z"),
        Column("started_failing_run_url", "string", "Page of that run in its CI system.", nullable=True, example="https://ci.example/run/1"),
        Column("good_before_count", "bigint", "Results in a row right before that failure that were none.", nullable=True, unit="results", example=12),
        Column("last_good_at", "timestamp", "When the run right before that failure started, UTC.", nullable=True, example="2021-06-21T05:00:00Z"),
        Column("last_good_run_url", "string", "Page of the run right before that failure.", nullable=True, example="https://ci.example/run/0"),
        Column("failed_since_count", "bigint", "Failures of the week from that one on.", nullable=True, unit="results", example=2),
        Column("result_since_count", "bigint", "Results of the week that ran to an end, from that failure on.", nullable=True, unit="results", example=2),
        Column("is_failing", "boolean", "The week's last result is a failure.", example=True),
        Column("last_failed_at", "timestamp", "When the last run in which it failed started, UTC; null when it never failed.", nullable=True, example="2021-06-21T13:00:00Z"),
        LAST_FAILED_RUN_URL,
    ),
    primary_key=("job_key", "test_key", "week_date"),
    write_mode="replace_partition",
    partition_by=("months(week_date)",),
    sort_by=("week_date", "job_key"),
    inputs=("core.ci_runs", "core.ci_jobs", "core.tests", "core.test_results"),
    made_by="build_kpi_ci_health",
    rebuild=by_week("week_date", lookback_days=LOOKBACK_DAYS),
    freshness_hours=36,
    shown_on="flaky-and-failing-tests",
    caveats=(
        "What came before a result is looked for in the 14 days before it: a failing stretch that is older counts from its first failure in them.",
        "The flip rate, as TestGrid defines it, is (flaky_count + broken_count - persistent_stretch_count) / result_count.",
        "The newest week may still be under way: compare it with whole weeks by ratios, not by counts.",
    ),
    example_query="select test_name, sum(flaky_count) * 1.0 / sum(result_count) as flake_ratio, sum(result_count) as result_count "
    "from kpi.weekly_test_health group by 1 having sum(flaky_count) > 0 order by 2 desc limit 20",
)
