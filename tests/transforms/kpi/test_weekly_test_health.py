"""Weekly test health: the weeks of ``transforms.stretches`` with names, pages and instants."""

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.support.builders import make_frame, make_row
from tests.support.decoded import rows_of

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.transforms.kpi import weekly_test_health

pytestmark = pytest.mark.spark

FIRST = datetime(2021, 6, 21, tzinfo=UTC)
STATUSES = {1: "passed", 3: "passed_with_skips", 12: "failed", 13: "flaky", 4: "running"}
CODES = {
    "breaks": [1, 1, 1, 1, 1, 13, 12, 4, 3, 12],
    "stays failed where it is skipped": [1, 12, 12, 3, 3],
    "always skipped": [3, 3],
    "never ended": [4, 4],
    "always passes": [1],
}


@pytest.fixture(scope="module")
def weeks(spark):
    """The week of each test by its name, and the table; job 1 runs them all, job 2 the first."""
    runs, results = {}, []
    for job in (1, 2):
        for key, codes in enumerate(list(CODES.values())[: 1 if job == 2 else None]):
            for number, code in enumerate(codes):
                started = FIRST + number * timedelta(hours=6)
                known = {"job_key": job, "run_key": job * 100 + number, "started_at": started.isoformat()}
                known["run_date"] = started.date().isoformat()
                runs[known["run_key"]] = make_row(
                    CI_RUNS, **known, run_url=f"https://ci.example/{job}/{number}"
                )
                results.append(make_row(TEST_RESULTS, **known, test_key=key, test_status=STATUSES[code]))
    jobs = [make_row(CI_JOBS, job_key=job, job_name=f"job {job}") for job in (1, 2)]
    tests = [make_row(TESTS, test_key=key, test_name=name) for key, name in enumerate(CODES)]
    table = weekly_test_health.transform(
        test_results=make_frame(spark, TEST_RESULTS, results),
        ci_runs=make_frame(spark, CI_RUNS, list(runs.values())),
        ci_jobs=make_frame(spark, CI_JOBS, jobs),
        tests=make_frame(spark, TESTS, tests),
    )
    return {(row.job_name, row.test_name): row for row in table.collect()}, table


def test_a_week_tells_of_its_job_test_and_runs(weeks):
    rows, table = weeks
    assert table.columns == weekly_test_health.TABLE.column_names
    row = rows["job 1", "breaks"]
    assert row.week_date == date(2021, 6, 21)
    assert (row.result_count, row.passed_count, row.failed_count, row.flaky_count) == (8, 5, 2, 1)
    assert row.started_failing_run_url == row.last_good_run_url.replace("5", "6") == "https://ci.example/1/6"
    assert row.started_failing_at - row.last_good_at == timedelta(hours=6)
    assert (row.last_failed_run_url, row.last_failed_at.hour) == ("https://ci.example/1/9", 6)
    assert rows["job 2", "breaks"].last_failed_run_url == "https://ci.example/2/9"


def test_a_skip_is_no_pass_and_no_fix(weeks):
    row = weeks[0]["job 1", "stays failed where it is skipped"]
    assert (row.result_count, row.passed_count, row.failed_count) == (3, 1, 2)
    assert (row.fixed_count, row.is_failing) == (0, True)


def test_what_never_ran_to_an_end_has_no_row_and_what_never_failed_no_run(weeks):
    rows, _ = weeks
    assert {name for _, name in rows} == {"breaks", "stays failed where it is skipped", "always passes"}
    row = rows["job 1", "always passes"]
    told = (row.last_failed_at, row.last_failed_run_url, row.started_failing_at, row.last_good_run_url)
    assert told == (None, None, None, None)
    assert (row.result_count, row.is_failing, row.fix_seconds) == (1, False, 0.0)


def test_same_input_same_rows_and_no_input_no_row(spark, weeks):
    assert rows_of(weeks[1]) == rows_of(weeks[1])
    empty = [make_frame(spark, table, []) for table in (TEST_RESULTS, CI_RUNS, CI_JOBS, TESTS)]
    names = ("test_results", "ci_runs", "ci_jobs", "tests")
    assert weekly_test_health.transform(**dict(zip(names, empty, strict=True))).count() == 0
