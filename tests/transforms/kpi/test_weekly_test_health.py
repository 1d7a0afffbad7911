"""Weekly test health: the weeks of ``transforms.stretches`` with names, pages and instants."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.weekly_test_health import LOOKBACK_DAYS, TABLE
from cilake.contracts.vocabulary.ci import TEST_STATUSES
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.kpi import weekly_test_health

DUCK = DuckEngine()
FIRST = datetime(2021, 6, 21, tzinfo=UTC)
STATUSES = {1: "passed", 3: "passed_with_skips", 12: "failed", 13: "flaky", 4: "running"}
CODES = {
    "breaks": [1, 1, 1, 1, 1, 13, 12, 4, 3, 12],
    "stays failed where it is skipped": [1, 12, 12, 3, 3],
    "always skipped": [3, 3],
    "never ended": [4, 4],
    "always passes": [1],
}


def transform(runs, results, jobs, tests, engine=DUCK):
    made = weekly_test_health.transform(
        engine,
        test_results=make_input(engine, TEST_RESULTS, results),
        ci_runs=make_input(engine, CI_RUNS, runs),
        ci_jobs=make_input(engine, CI_JOBS, jobs),
        tests=make_input(engine, TESTS, tests),
    )
    return take(made, TABLE)


def build(*, backwards=False):
    """The weeks; job 1 runs all tests, job 2 the first."""
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
    inputs = [list(runs.values()), results, jobs, tests]
    return transform(*(rows[::-1] if backwards else rows for rows in inputs))


@pytest.fixture(scope="module")
def weeks():
    """The week of each test by its job and name."""
    return {(row.job_name, row.test_name): row for row in build()}


def test_a_week_tells_of_its_job_test_and_runs(weeks):
    row = weeks["job 1", "breaks"]
    assert row.week_date == date(2021, 6, 21)
    assert (row.result_count, row.passed_count, row.failed_count, row.flaky_count) == (8, 5, 2, 1)
    assert row.started_failing_run_url == row.last_good_run_url.replace("5", "6") == "https://ci.example/1/6"
    assert row.started_failing_at - row.last_good_at == timedelta(hours=6)
    assert (row.last_failed_run_url, row.last_failed_at.hour) == ("https://ci.example/1/9", 6)
    assert weeks["job 2", "breaks"].last_failed_run_url == "https://ci.example/2/9"


def test_a_skip_is_no_pass_and_no_fix(weeks):
    row = weeks["job 1", "stays failed where it is skipped"]
    assert (row.result_count, row.passed_count, row.failed_count) == (3, 1, 2)
    assert (row.fixed_count, row.is_failing) == (0, True)


def test_what_never_ran_to_an_end_has_no_row_and_what_never_failed_no_run(weeks):
    assert {name for _, name in weeks} == {"breaks", "stays failed where it is skipped", "always passes"}
    row = weeks["job 1", "always passes"]
    found = (row.last_failed_at, row.last_failed_run_url, row.started_failing_at, row.last_good_run_url)
    assert found == (None, None, None, None)
    assert (row.result_count, row.is_failing, row.fix_seconds) == (1, False, 0.0)


def test_same_input_same_rows_and_no_input_no_row():
    assert build() == build(backwards=True)
    assert transform([], [], [], []) == []


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Weeks of jobs that run tests of all buckets, ties, missing pages and names, verdicts, all statuses."""
    rng = np.random.default_rng(11)
    statuses = [*["passed"] * 20, *["failed"] * 6, *TEST_STATUSES]
    jobs = [make_row(CI_JOBS, job_key=11), make_row(CI_JOBS, job_key=-12, release=None, platform=None)]
    tests = [make_row(TESTS, test_key=key, test_name=f"test {key}") for key in range(-9, 9)]
    tests.append(make_row(TESTS, test_key=9, test_name="Overall", is_verdict=True))
    runs, results = [], []
    since = FIRST - timedelta(days=LOOKBACK_DAYS)
    for job in (11, -12, 13):
        for number in range(50):
            # Two runs start at a time, a few microseconds past a full second.
            started = since + number // 2 * timedelta(hours=29, microseconds=7)
            key = job * 1000 + number * (-1) ** number
            known = {"job_key": job, "run_key": key, "started_at": started.isoformat()}
            known["run_date"] = started.date().isoformat()
            if number != 30:  # of which there are results alone
                url = None if number % 4 == 0 else f"https://ci.example/{job}/{number}"
                runs.append(make_row(CI_RUNS, **known, run_url=url))
            for test in range(-10, 10):
                status = (
                    "passed" if test == 0 or (test == 1 and number % 9 < 6) else str(rng.choice(statuses))
                )
                status = "failed" if test == 1 and number % 9 >= 6 else status
                if test != 5 or number > 45:  # it is new
                    results.append(make_row(TEST_RESULTS, **known, test_key=test, test_status=status))
    engine = SparkEngine(spark)
    made = transform(runs, results, jobs, tests)
    assert {row.job_key for row in made} == {11, -12}
    assert {row.test_key for row in made} == {*range(-9, 9)}
    assert len({row.week_date for row in made}) == 5
    starts = [row for row in made if row.started_failing_at is not None]
    assert {row.started_failing_run_url is None for row in starts} == {True, False}
    assert {row.good_before_count is None for row in made} == {True, False}
    assert transform(runs, results, jobs, tests, engine) == made
    assert transform([], [], [], [], engine) == []
