"""Failing pairs: tests that fail in the same runs, with Pearson's correlation over all runs of the week."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.failing_pairs import TABLE
from cilake.contracts.vocabulary.ci import FAILING, TEST_STATUSES
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.kpi import failing_pairs

DUCK = DuckEngine()
MONDAY = date(2021, 6, 21)


def transform(runs, results, tests, engine=DUCK):
    made = failing_pairs.transform(
        engine,
        test_results=make_input(engine, TEST_RESULTS, results),
        ci_runs=make_input(engine, CI_RUNS, runs),
        tests=make_input(engine, TESTS, tests),
    )
    return take(made, TABLE)


def build(failing, *, first=MONDAY, backwards=False, others=0):
    """The table for runs a few hours apart, each given as the list of its failing tests.

    ``others`` runs of another job ran none of these tests.
    """
    runs, results = [], []
    numbered = list(enumerate(failing))
    for number, tests in reversed(numbered) if backwards else numbered:
        day = (first + timedelta(days=number % 7)).isoformat()
        known = {"run_key": number, "run_date": day}
        url = f"https://ci.example/run/{number}"
        runs.append(make_row(CI_RUNS, **known, run_url=url, started_at=f"{day}T{10 + number // 7}:00:00Z"))
        results += [make_row(TEST_RESULTS, **known, test_key=t, test_status="failed") for t in tests]
        results.append(make_row(TEST_RESULTS, **known, test_key=999, test_status="passed"))
    elsewhere = {"job_key": 7, "run_date": first.isoformat()}
    for number in range(-others, 0):
        runs.append(make_row(CI_RUNS, run_key=number, **elsewhere))
        results.append(
            make_row(TEST_RESULTS, run_key=number, test_key=999, test_status="passed", **elsewhere)
        )
    names = {test for tests in failing for test in tests}
    return transform(runs, results, [make_row(TESTS, test_key=t, test_name=f"test {t}") for t in names])


def test_the_correlation_is_pearsons_over_all_runs():
    rng = np.random.default_rng(3)
    cause = rng.random((60, 1)) < 0.2
    failed = np.hstack([cause, cause ^ (rng.random((60, 3)) < 0.05), rng.random((60, 2)) < 0.2])
    rows = build([np.flatnonzero(run).tolist() for run in failed])
    found = {(row.test_key, row.other_test_key): row.failure_correlation for row in rows}
    wanted = np.corrcoef(failed.astype(float).T)
    together = failed.T.astype(int) @ failed.astype(int)
    kept = (wanted >= 0.5) & (together >= 3) & ~np.eye(len(wanted), dtype=bool)
    assert set(found) == set(zip(*np.nonzero(kept), strict=True))
    assert len(found) >= 6
    assert found == {pair: pytest.approx(wanted[pair]) for pair in found}
    first = next(row for row in rows if (row.test_key, row.other_test_key) == (0, 1))
    assert (first.together_count, first.failed_count) == (together[0, 1], together[0, 0])
    assert (first.other_failed_count, first.run_count) == (together[1, 1], 60)
    assert (first.test_name, first.other_test_name, first.week_date) == ("test 0", "test 1", MONDAY)


def test_two_common_failures_are_chance():
    assert build([[1, 2], [1, 2], [], []]) == []
    assert len(build([[1, 2], [1, 2], [1, 2], []])) == 2


def test_the_last_run_in_which_both_failed_is_linked():
    rows = build([[1, 2], [1, 2], [1, 2], [1], [2], *[[]] * 8])
    assert {row.last_together_run_url for row in rows} == {"https://ci.example/run/2"}
    assert {row.last_together_at for row in rows} == {datetime(2021, 6, 23, 10, tzinfo=UTC)}


def test_a_run_that_broke_as_a_whole_says_nothing():
    everything = list(range(failing_pairs.MAX_FAILURES + 1))
    assert build([everything] * 3 + [[]]) == []
    assert len(build([everything[1:4]] * 3 + [[]])) == 6


def test_runs_of_other_jobs_and_broken_ones_change_no_correlation():
    runs = [[1, 2], [1, 2], [1, 2], [1], [2], *[[]] * 8]
    wanted = [(row.run_count, row.failure_correlation) for row in build(runs)]
    assert wanted == [(13, pytest.approx(23 / 36))] * 2
    everything = list(range(failing_pairs.MAX_FAILURES + 1))
    for disturbed in (build(runs, others=50), build([*runs, everything])):
        found = [row for row in disturbed if {row.test_key, row.other_test_key} == {1, 2}]
        assert [(row.run_count, row.failure_correlation) for row in found] == wanted


def test_weeks_are_apart():
    assert build([[1, 2]] * 7, first=MONDAY + timedelta(days=5)) == [], "never varies"
    weeks = build([[1, 2], [], [1, 2], [], [1, 2], [1, 2], [1, 2]], first=MONDAY - timedelta(days=5))
    assert {(row.week_date, row.together_count) for row in weeks} == {(MONDAY - timedelta(days=7), 3)}


def test_same_input_same_rows():
    runs = [[1, 2, 3], [1, 2], [2, 1], [3], []]
    assert len(build(runs)) == 2
    assert build(runs) == build(runs, backwards=True)


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Weeks, jobs of which one lacks a test, ties, missing pages, verdicts, broken runs, unnamed tests."""
    rng = np.random.default_rng(5)
    runs, results = [], []
    everything = range(1000, 1000 + failing_pairs.MAX_FAILURES + 1)
    for number in range(120):
        job = (11, -12, 13)[number % 3]
        day = (MONDAY + timedelta(days=number % 14 - 7)).isoformat()
        # The three runs of an hour, one of each job, tie.
        started = {"run_date": day, "started_at": f"{day}T{number // 42:02}:00:00Z"}
        known = {"run_key": number if number % 2 else -number, "job_key": job} | started
        url = None if number % 5 == 0 else f"https://ci.example/run/{number}"
        runs.append(make_row(CI_RUNS, **known, run_url=url))
        if number % 10 == 9:
            continue  # a run without results
        failing = rng.random() < 0.3
        tests = {-1: failing, 2: failing ^ (rng.random() < 0.1), 3: rng.random() < 0.3, 50: failing}
        if job != 13:
            tests |= {4: failing ^ (rng.random() < 0.1), -5: rng.random() < 0.3, 99: failing}
        if number in (20, 30):
            tests |= dict.fromkeys(everything, True)
        for test, has_failed in tests.items():
            statuses = [word for word in TEST_STATUSES if (word in FAILING) == has_failed]
            status = str(rng.choice(statuses))
            results.append(make_row(TEST_RESULTS, **known, test_key=test, test_status=status))
    results += results[:20]
    lost = {"run_key": 9999, "job_key": 11, "run_date": MONDAY.isoformat()}  # it is not among the runs
    results += [make_row(TEST_RESULTS, **lost, test_key=test, test_status="failed") for test in (-1, 2)]
    names = [make_row(TESTS, test_key=t, test_name=f"test {t}") for t in (-1, 2, 3, 4, -5, *everything)]
    names.append(make_row(TESTS, test_key=50, test_name="Overall", is_verdict=True))
    engine = SparkEngine(spark)
    made = transform(runs, results, names)
    assert {(row.test_key, row.other_test_key) for row in made} >= {(-1, 2), (2, -1), (-1, 4), (4, 2)}
    assert len({row.week_date for row in made}) == 2
    assert len({row.run_count for row in made}) >= 3
    assert {row.last_together_run_url is None for row in made} == {True, False}
    assert transform(runs, results, names, engine) == made
    assert transform([], [], [], engine) == transform([], [], []) == []
