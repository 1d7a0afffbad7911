"""Likely failures: answered predictions of 1 % or more, with the last failing run known at the decision."""

import pytest
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.likely_failures import TABLE
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.contracts.vocabulary.ci import FAILING
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.kpi import likely_failures

DUCK = DuckEngine()
DAY = "2021-06-21"


def predict(probability, **overrides):
    return make_row(PREDICTIONS, **({"prediction_date": DAY} | overrides), failure_probability=probability)


def fail(run_key, day, **overrides):
    known = {"run_key": run_key, "run_date": day, "started_at": f"{day}T05:00:00Z", "test_status": "failed"}
    return make_row(TEST_RESULTS, **(known | overrides))


def run_of(failure):
    known = {name: failure[name] for name in ("run_key", "job_key", "run_date", "started_at")}
    return make_row(CI_RUNS, **known, run_url=f"https://ci.example/{failure['run_key']}")


def build(predictions, failures=(), *, runs=None, jobs=None, tests=None, engine=DUCK):
    """The table; without runs given there is one of each failure, without jobs and tests one of each."""
    made = likely_failures.transform(
        engine,
        test_failure=make_input(engine, PREDICTIONS, predictions),
        ci_jobs=make_input(engine, CI_JOBS, [make_row(CI_JOBS)] if jobs is None else jobs),
        tests=make_input(engine, TESTS, [make_row(TESTS)] if tests is None else tests),
        ci_runs=make_input(engine, CI_RUNS, list(map(run_of, failures)) if runs is None else runs),
        test_results=make_input(engine, TEST_RESULTS, list(failures)),
    )
    return take(made, TABLE)


def test_only_answered_predictions_of_one_percent_or_more():
    predictions = [
        predict(probability, prediction_date=day, abstain_reason=reason)
        for day, probability, reason in (
            ("2021-06-21", 0.01, None),
            ("2021-06-22", 0.0099, None),
            ("2021-06-23", 0.5, "stale_input"),
        )
    ]
    rows = build(predictions)
    assert [row.failure_probability for row in rows] == [0.01]
    assert (rows[0].job_name, rows[0].test_name) == ("periodic-ci-e2e-aws-4.8", "[sig-arch] Monitor cluster")
    assert rows[0].last_failed_at is None and rows[0].last_failed_run_url is None


def test_the_last_failure_is_the_newest_known_at_the_decision():
    failures = [fail(1, "2021-06-19"), fail(2, DAY), fail(3, "2021-06-22"), fail(4, "2021-05-01")]
    (row,) = build([predict(0.4)], failures)
    assert row.last_failed_run_url == "https://ci.example/2"
    (row,) = build([predict(0.4)], [fail(4, "2021-05-01")])
    assert row.last_failed_run_url is None, "older than the lookback"


def test_a_verdict_is_no_failure_to_look_at():
    assert build([predict(0.4)], tests=[make_row(TESTS, is_verdict=True)]) == []


def test_same_input_same_rows_and_none_without_predictions():
    inputs = [predict(0.4)], [fail(1, DAY)]
    assert len(build(*inputs)) == 1
    assert build(*inputs) == build(*inputs)
    assert build([]) == []


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Ties, runs without a page, unknown runs, jobs and tests, both ends of the lookback, all statuses."""
    jobs = [make_row(CI_JOBS, job_key=11), make_row(CI_JOBS, job_key=-12, release=None, platform=None)]
    tests = [make_row(TESTS, test_key=key, test_name=f"test {key}") for key in range(-9, 10)]
    tests.append(make_row(TESTS, test_key=10, test_name="Overall", is_verdict=True))
    predictions = [
        predict(probability, job_key=job, test_key=test, prediction_date=day, top_reasons=reasons)
        for job in (11, -12, 13)
        for test, probability in [*((key, 0.2) for key in range(-9, 12)), (20, 0.01)]
        for day, reasons in ((DAY, None), ("2021-06-22", "it failed"))
    ]
    predictions += [
        predict(0.3, job_key=11, test_key=1, prediction_date="2021-07-21"),
        predict(0.0, job_key=11, test_key=1, prediction_date="2021-07-22"),
        predict(0.3, job_key=11, test_key=1, prediction_date="2021-07-23", abstain_reason="unseen_job"),
    ]
    failures = [
        fail(1, "2021-06-20", test_key=1),
        fail(2, "2021-06-20", test_key=1),
        fail(-3, "2021-06-20", test_key=1),
        fail(4, "2021-05-24", test_key=2),
        fail(5, "2021-05-25", test_key=3),
        fail(6, "2021-05-23", test_key=4),
        fail(7, "2021-06-22", test_key=5),
        fail(8, "2021-06-23", test_key=6),
        fail(9, "2021-06-21", test_key=-7),
        fail(9, "2021-06-21", test_key=-8),
        fail(10, "2021-06-20", test_key=-7),
        fail(11, "2021-06-20", test_key=7),
        fail(12, "2021-06-19", test_key=7),
        fail(13, "2021-06-19", test_key=10),
        fail(14, "2021-06-19", test_key=1, job_key=-12),
        *(
            fail(20 + number, f"2021-06-{1 + number:02}", test_key=9, test_status=status)
            for number, status in enumerate([*FAILING, "flaky", "passed", "running", "passed_with_skips"])
        ),
    ]
    unknown = {11}  # the newest failed run of test 7 is not among the runs
    runs = {row["run_key"]: run_of(row) for row in failures if row["run_key"] not in unknown}
    runs[2]["run_url"] = None
    engine = SparkEngine(spark)
    inputs = {"runs": list(runs.values()), "jobs": jobs, "tests": tests}
    made = build(predictions, failures, **inputs)
    assert len(made) == 2 * 2 * 19 + 1
    found = {row.test_key: row for row in made if (row.job_key, str(row.prediction_date)) == (11, DAY)}
    assert found[1].last_failed_at is not None and found[1].last_failed_run_url is None
    assert build(predictions, failures, **inputs, engine=engine) == made
    assert build([], [], runs=[], jobs=[], tests=[], engine=engine) == []
