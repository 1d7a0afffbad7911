"""Columns and words about jobs, runs and tests that mean the same in every table."""

from cilake.contracts.model import Column

JOB_KEY = Column("job_key", "bigint", "Key of the job: xxhash64 of CI system and job name.", example=11)
RUN_KEY = Column(
    "run_key", "bigint", "Key of the run: xxhash64 of CI system, job name and build id.", example=21
)
TEST_KEY = Column("test_key", "bigint", "Key of the test: xxhash64 of its exact name.", example=31)
JOB_NAME = Column(
    "job_name", "string", "Name of the job in its CI system.", example="periodic-ci-e2e-aws-4.8"
)
TEST_NAME = Column(
    "test_name", "string", "Name of the test, exactly as served.", example="[sig-arch] Monitor cluster"
)
WEEK_DATE = Column("week_date", "date", "Monday of the week, UTC.", example="2021-06-21")
RELEASE = Column(
    "release",
    "string",
    "Product release the job tests, parsed from the job name.",
    nullable=True,
    example="4.8",
)
PLATFORM = Column(
    "platform",
    "string",
    "Infrastructure the job runs on, parsed from the job name.",
    nullable=True,
    example="aws",
)
LAST_FAILED_RUN_URL = Column(
    "last_failed_run_url",
    "string",
    "Page of that run in its CI system.",
    nullable=True,
    example="https://ci.example/run/1",
)
STARTED_AT = Column("started_at", "timestamp", "When the run started, UTC.", example="2021-06-21T13:00:00Z")
RUN_DATE = Column("run_date", "date", "UTC day on which the run started.", example="2021-06-21")
KNOWN_AT = Column(
    "known_at",
    "timestamp",
    "When the source first served this content of the run, by the source's own clock, UTC.",
    example="2021-06-22T00:00:00Z",
)

TEST_STATUSES = (
    "passed",
    "passed_with_errors",
    "passed_with_skips",
    "running",
    "categorized_abort",
    "unknown",
    "cancelled",
    "blocked",
    "timed_out",
    "categorized_fail",
    "build_failed",
    "failed",
    "flaky",
    "tool_failed",
    "build_passed",
)
"""What a run says about a test, and about itself. A word is added at the end: places are part of hashes."""

PASSING = ("passed", "passed_with_errors", "build_passed")
SKIPPED = "passed_with_skips"
"""A test that was skipped: it did not run, so it is no pass, no fix and in no denominator."""
RUNNING = "running"
FLAKY = "flaky"
UNDECIDED = (RUNNING, SKIPPED)
"""What says neither that a test passed nor that it failed: it is still running, or did not run."""
FAILING = ("timed_out", "categorized_fail", "build_failed", "failed", "tool_failed")

VERDICT_NAME = "^(?:[A-Za-z0-9._-]+[.])?(?:Overall|Pod)$"
"""The names of rows that services add to the tests of a run: the verdict of the whole run or of its pod, alone
or after the name of a job. By the name alone, so that all tables agree whatever was landed first: a test `Pod`
of a suite whose name could be a job's is taken for a verdict, `[sig-node] Pod` and `//pkg:a.Pod` are tests."""
