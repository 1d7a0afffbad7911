"""Results of tests in runs."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.ci import (
    JOB_KEY,
    KNOWN_AT,
    RUN_DATE,
    RUN_KEY,
    STARTED_AT,
    TEST_KEY,
    TEST_STATUSES,
)

TABLE = Table(
    address="core.test_results",
    title="Test results",
    grain="One row per test that has a result in a run.",
    description="A test a run does not mention has no row (TestGrid's code 0).",
    columns=(
        RUN_KEY,
        JOB_KEY,
        TEST_KEY,
        STARTED_AT,
        RUN_DATE,
        Column("test_status", "string", "Outcome of the test in the run.", allowed=TEST_STATUSES, example="passed"),
        Column("message", "string", "Message of the cell; passed cells may have one, failed ones often none.", nullable=True, example="1/2 runs passed"),
        KNOWN_AT,
    ),
    primary_key=("run_key", "test_key"),
    write_mode="merge",
    partition_by=("months(run_date)",),
    sort_by=("job_key", "started_at"),
    inputs=("core.ci_run_observations",),
    made_by="build_core_ci",
    freshness_hours=36,
    key_slices=16,
    shown_on="ci-health",
    caveats=(
        "Status `running` is not final: a later landing replaces the run.",
        "Status `passed_with_skips` is a test that was skipped: it did not run, is no pass, and ends no failing stretch.",
        "Flaky results are practically absent in the OpenShift 4.4, 4.5 and 4.7 recordings and frequent in 4.6 "
        "and 4.8, so flake rates are not comparable between releases.",
        "TestGrid shortens messages to about 140 characters.",
    ),
    example_query="select t.test_name, count_if(r.test_status = 'failed') as failed_count, count(*) as result_count "
    "from core.test_results r join core.tests t using (test_key) group by 1 order by 2 desc limit 20",
)
