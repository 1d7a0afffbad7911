"""CI runs, conformed over whatever system or collector they came from."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.ci import JOB_KEY, KNOWN_AT, RUN_DATE, RUN_KEY, STARTED_AT, TEST_STATUSES
from cilake.contracts.vocabulary.payload import DECODER_VERSION, LANDED_DATE

FACTS = (
    Column(
        "result",
        "string",
        "Verdict of the whole run (the row Overall, or that of its job); null when the source gives none.",
        nullable=True,
        allowed=TEST_STATUSES,
        example="passed",
    ),
    Column(
        "result_count",
        "bigint",
        "Rows of the run in core.test_results: its tests and the verdict rows.",
        unit="results",
        example=2,
    ),
    Column(
        "test_count",
        "bigint",
        "Tests with a result in the run, all statuses, skipped ones too; verdict rows are no tests.",
        unit="results",
        example=1,
    ),
    Column(
        "passed_count",
        "bigint",
        "Tests that passed, with or without errors; a skipped test did not run.",
        unit="results",
        example=1,
    ),
    Column("failed_count", "bigint", "Tests that failed, timed out or broke.", unit="results", example=0),
    Column(
        "flaky_count",
        "bigint",
        "Tests that both passed and failed in the run.",
        unit="results",
        example=0,
    ),
    Column("running_count", "bigint", "Tests whose result is not final yet.", unit="results", example=0),
    Column(
        "run_url",
        "string",
        "Page of the run in its CI system.",
        nullable=True,
        example="https://ci.example/run/1",
    ),
    Column(
        "content_hash",
        "string",
        "Hash of the run's start, page and results; a change means the source corrected them.",
        example="0" * 32,
    ),
)
"""What a source says about a run besides its identity and start."""

TABLE = Table(
    address="core.ci_runs",
    title="CI runs",
    grain="One row per run (build) of a job.",
    description="A run seen in several dashboards or payloads is one row: of its observations the one whose content "
    "began last, unless it has fewer results than a final one before.",
    columns=(
        RUN_KEY,
        JOB_KEY,
        Column(
            "build_id",
            "string",
            "Build id in the CI system; up to 19 digits, not ordered in time.",
            example="1321",
        ),
        STARTED_AT,
        RUN_DATE,
        *FACTS,
        DECODER_VERSION,
        KNOWN_AT,
        LANDED_DATE,
    ),
    primary_key=("run_key",),
    write_mode="merge",
    partition_by=("months(run_date)",),
    sort_by=("job_key", "started_at"),
    inputs=("core.ci_run_observations",),
    made_by="build_core_ci",
    change_columns=("run_key", "content_hash", "decoder_version", "known_at"),
    freshness_hours=36,
    shown_on="ci-health",
    caveats=(
        "A run without any result (all cells empty) is a run too: its counts are 0.",
        "Build ids are not global and not ordered in time; use run_key and started_at.",
    ),
    example_query="select run_date, count(*) as run_count, count_if(result = 'passed') as runs_passed_count "
    "from core.ci_runs group by 1 order by 1",
)
