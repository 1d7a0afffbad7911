"""Likely failures: answered predictions of 1 % or more, with the last failing run known at the decision."""

import pytest
from tests.support.builders import make_frame, make_row
from tests.support.decoded import rows_of

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.transforms.kpi import likely_failures

pytestmark = pytest.mark.spark

DAY = "2021-06-21"


def predict(probability, **overrides):
    return make_row(PREDICTIONS, prediction_date=DAY, failure_probability=probability, **overrides)


def fail(run_key, day):
    return make_row(
        TEST_RESULTS, run_key=run_key, run_date=day, started_at=f"{day}T05:00:00Z", test_status="failed"
    )


def build(spark, predictions, failures=()):
    runs = [
        make_row(CI_RUNS, run_key=row["run_key"], run_url=f"https://ci.example/{row['run_key']}")
        for row in failures
    ]
    return likely_failures.transform(
        test_failure=make_frame(spark, PREDICTIONS, predictions),
        ci_jobs=make_frame(spark, CI_JOBS, [make_row(CI_JOBS)]),
        tests=make_frame(spark, TESTS, [make_row(TESTS)]),
        ci_runs=make_frame(spark, CI_RUNS, runs),
        test_results=make_frame(spark, TEST_RESULTS, list(failures)),
    )


def test_only_answered_predictions_of_one_percent_or_more(spark):
    rows = build(
        spark, [predict(0.01), predict(0.0099), predict(0.5, abstain_reason="stale_input")]
    ).collect()
    assert [row.failure_probability for row in rows] == [0.01]
    assert (rows[0].job_name, rows[0].test_name) == ("periodic-ci-e2e-aws-4.8", "[sig-arch] Monitor cluster")
    assert rows[0].last_failed_at is None and rows[0].last_failed_run_url is None


def test_the_last_failure_is_the_newest_known_at_the_decision(spark):
    failures = [fail(1, "2021-06-19"), fail(2, DAY), fail(3, "2021-06-22"), fail(4, "2021-05-01")]
    (row,) = build(spark, [predict(0.4)], failures).collect()
    assert row.last_failed_run_url == "https://ci.example/2"
    (row,) = build(spark, [predict(0.4)], [fail(4, "2021-05-01")]).collect()
    assert row.last_failed_run_url is None, "older than the lookback"


def test_same_input_same_rows_and_none_without_predictions(spark):
    inputs = [predict(0.4)], [fail(1, DAY)]
    assert rows_of(build(spark, *inputs)) == rows_of(build(spark, *inputs))
    assert build(spark, []).count() == 0
    assert build(spark, *inputs).columns == likely_failures.TABLE.column_names
