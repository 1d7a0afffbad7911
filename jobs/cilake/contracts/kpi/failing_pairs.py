"""Which tests fail in the same runs, week by week."""

from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_week
from cilake.contracts.vocabulary.ci import TEST_KEY, TEST_NAME, WEEK_DATE

TABLE = Table(
    address="kpi.failing_pairs",
    title="Failing pairs",
    grain="One row per week and pair of tests that failed together in at least three of the week's runs; each pair twice, once from each test.",
    description="Tests that fail together often have one cause: fix it once. Only pairs with a correlation of 0.5 or more are kept.",
    columns=(
        WEEK_DATE,
        TEST_KEY,
        Column("other_test_key", "bigint", "Key of the test it fails with.", example=22),
        TEST_NAME,
        Column("other_test_name", "string", "Name of the test it fails with, exactly as served.", example="[sig-api] Discovery"),
        Column("together_count", "bigint", "Runs in which both failed.", unit="runs", example=3),
        Column("failed_count", "bigint", "Runs of the jobs that ran both tests in which the test failed.", unit="runs", example=4),
        Column("other_failed_count", "bigint", "Runs of these jobs in which the other test failed.", unit="runs", example=3),
        Column("run_count", "bigint", "Runs of the week of the jobs that ran both tests.", unit="runs", example=100),
        Column("failure_correlation", "double", "Pearson correlation of the two tests' failures over these runs; a test that did not run did not fail.", unit="correlation", example=0.86),
        Column("last_together_at", "timestamp", "When the last run in which both failed started, UTC.", example="2021-06-21T13:00:00Z"),
        Column("last_together_run_url", "string", "Page of that run in its CI system.", nullable=True, example="https://ci.example/run/1"),
    ),
    primary_key=("test_key", "other_test_key", "week_date"),
    write_mode="replace_partition",
    partition_by=("months(week_date)",),
    sort_by=("week_date", "test_key", "other_test_key"),
    inputs=("core.ci_runs", "core.tests", "core.test_results"),
    made_by="build_kpi_ci_health",
    rebuild=by_week("week_date"),
    freshness_hours=36,
    may_be_empty=True,
    shown_on="flaky-and-failing-tests",
    caveats=(
        "Runs with more than 100 failing tests are in no count: there the whole run broke, which says nothing about pairs.",
        "Counts of a pair exist for the weeks in which it failed together; do not add them up as the test's failures.",
    ),
    example_query="select week_date, test_name, other_test_name, together_count, failure_correlation "
    "from kpi.failing_pairs where test_key < other_test_key order by week_date desc, together_count desc limit 20",
)
