"""Failing pairs: tests that fail in the same runs, with Pearson's correlation over all runs of the week."""

from datetime import date, timedelta

import numpy as np
import pytest
from tests.support.builders import make_frame, make_row
from tests.support.decoded import rows_of

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.transforms.kpi import failing_pairs

pytestmark = pytest.mark.spark

MONDAY = date(2021, 6, 21)


def build(spark, failing, *, first=MONDAY, backwards=False, others=0):
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
    return failing_pairs.transform(
        test_results=make_frame(spark, TEST_RESULTS, results),
        ci_runs=make_frame(spark, CI_RUNS, runs),
        tests=make_frame(spark, TESTS, [make_row(TESTS, test_key=t, test_name=f"test {t}") for t in names]),
    )


def test_the_correlation_is_pearsons_over_all_runs(spark):
    dice = np.random.default_rng(3)
    cause = dice.random((60, 1)) < 0.2
    failed = np.hstack([cause, cause ^ (dice.random((60, 3)) < 0.05), dice.random((60, 2)) < 0.2])
    rows = build(spark, [np.flatnonzero(run).tolist() for run in failed]).collect()
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


def test_two_common_failures_are_chance(spark):
    assert build(spark, [[1, 2], [1, 2], [], []]).count() == 0
    assert build(spark, [[1, 2], [1, 2], [1, 2], []]).count() == 2


def test_the_last_run_in_which_both_failed_is_linked(spark):
    rows = build(spark, [[1, 2], [1, 2], [1, 2], [1], [2], *[[]] * 8]).collect()
    assert {row.last_together_run_url for row in rows} == {"https://ci.example/run/2"}
    assert {str(row.last_together_at) for row in rows} == {"2021-06-23 10:00:00"}


def test_a_run_that_broke_as_a_whole_says_nothing(spark):
    everything = list(range(failing_pairs.MOST_FAILURES + 1))
    assert build(spark, [everything] * 3 + [[]]).count() == 0
    assert build(spark, [everything[1:4]] * 3 + [[]]).count() == 6


def test_runs_of_other_jobs_and_broken_ones_change_no_correlation(spark):
    runs = [[1, 2], [1, 2], [1, 2], [1], [2], *[[]] * 8]
    wanted = [(row.run_count, row.failure_correlation) for row in build(spark, runs).collect()]
    assert wanted == [(13, pytest.approx(23 / 36))] * 2
    everything = list(range(failing_pairs.MOST_FAILURES + 1))
    for disturbed in (build(spark, runs, others=50), build(spark, [*runs, everything])):
        found = {row for row in disturbed.collect() if {row.test_key, row.other_test_key} == {1, 2}}
        assert [(row.run_count, row.failure_correlation) for row in found] == wanted


def test_weeks_are_apart(spark):
    assert build(spark, [[1, 2]] * 7, first=MONDAY + timedelta(days=5)).count() == 0, "never varies"
    weeks = build(spark, [[1, 2], [], [1, 2], [], [1, 2], [1, 2], [1, 2]], first=MONDAY - timedelta(days=5))
    assert {(row.week_date, row.together_count) for row in weeks.collect()} == {
        (MONDAY - timedelta(days=7), 3)
    }


def test_same_input_same_rows(spark):
    runs = [[1, 2, 3], [1, 2], [2, 1], [3], []]
    assert rows_of(build(spark, runs)) == rows_of(build(spark, runs, backwards=True))
    assert build(spark, runs).columns == failing_pairs.TABLE.column_names
