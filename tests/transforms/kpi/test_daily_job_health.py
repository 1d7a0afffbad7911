"""Daily job health: counts over results that ran, per job and day."""

import pytest
from tests.support.builders import make_frame
from tests.support.decoded import decode, observe, rows_of
from tests.support.grids import make_table

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.sources.keys import hash_name
from cilake.transforms.core import ci_jobs, ci_runs, test_results, tests
from cilake.transforms.core.ci_run_observations import select_standing
from cilake.transforms.kpi import daily_job_health

pytestmark = pytest.mark.spark

ONE_DAY = [1624280400000, 1624276800000]  # 2021-06-21, 13:00 and 12:00 UTC


def runs(spark, *tables):
    observed = observe(spark, *tables)
    return ci_runs.transform(select_standing(observed, {}), observed).collect()


def build(spark, *tables):
    decoded = decode(spark, *tables)
    names = tests.transform(decoded, make_frame(spark, TESTS, []))
    observed = observe(spark, *tables)
    standing = select_standing(observed, {})
    jobs = ci_jobs.transform(decoded, make_frame(spark, CI_JOBS, []))
    return daily_job_health.transform(
        ci_runs=ci_runs.transform(standing, observed),
        ci_jobs=jobs,
        tests=names,
        test_results=test_results.transform(standing, observed),
    )


def test_counts_add_up_and_the_ratio_is_over_what_ran(spark):
    table = make_table({"Overall": [12], "a": [12], "b": [1], "c": [13], "d": [4], "e": [7], "f": [0]})
    (row,) = build(spark, table).collect()
    runs = (row.run_count, row.run_passed_count, row.run_failed_count, row.run_running_count)
    assert runs == (1, 0, 1, 0)
    counts = (row.passed_count, row.failed_count, row.flaky_count, row.running_count, row.other_count)
    assert counts == (1, 1, 1, 1, 1)
    assert row.pass_ratio == pytest.approx(1 / 3)
    assert (row.failing_test_count, row.failing_test_keys) == (1, [hash_name("a")])


def test_a_skipped_test_is_in_no_denominator(spark):
    (row,) = build(spark, make_table({"Overall": [1], "a": [12], "b": [1], "skipped": [3]})).collect()
    assert (row.passed_count, row.failed_count, row.other_count) == (1, 1, 1)
    assert row.pass_ratio == 0.5


def test_verdict_rows_are_no_tests_whatever_they_are_called(spark):
    rows = {"Overall": [12], "job.Overall": [12], "Pod": [12], "job.Pod": [12], "a.Podium": [1]}
    (row,) = build(spark, make_table(rows)).collect()
    assert (row.passed_count, row.failed_count, row.failing_test_count) == (1, 0, 0)
    assert row.run_failed_count == 1


def test_a_run_under_way_is_counted_as_running(spark):
    (row,) = build(spark, make_table({"Overall": [4, 1], "a": [0, 1]}, timestamps=ONE_DAY)).collect()
    assert (row.run_count, row.run_passed_count, row.run_running_count) == (2, 1, 1)


def test_the_last_failed_run_of_the_day_is_linked(spark):
    table = make_table({"Overall": [1, 12, 12], "a": [1, 1, 1]}, timestamps=[*ONE_DAY, 1624273200000])
    (row,) = build(spark, table).collect()
    assert str(row.last_failed_at) == "2021-06-21 12:00:00"
    (wanted,) = {run.run_url for run in runs(spark, table) if run.started_at == row.last_failed_at}
    assert row.last_failed_run_url == wanted
    (row,) = build(spark, make_table({"Overall": [1]})).collect()
    assert (row.last_failed_at, row.last_failed_run_url) == (None, None)


def test_a_day_on_which_nothing_ran_to_an_end_has_no_ratio(spark):
    (row,) = build(spark, make_table({"Overall": [4]})).collect()
    assert row.pass_ratio is None and row.failing_test_keys == []


def test_same_input_same_rows_and_duplicates_do_not_count_twice(spark):
    table = make_table({"Overall": [1, 12], "a": [1, 12]})
    assert rows_of(build(spark, table, table)) == rows_of(build(spark, table))


def test_contract_columns_come_in_order(spark):
    assert build(spark, make_table({"Overall": [1]})).columns == daily_job_health.TABLE.column_names
    assert TEST_RESULTS.primary_key == ("run_key", "test_key")
