"""Daily job health: counts over results that ran, per job and day."""

import re
from datetime import UTC, datetime

import pytest
from tests.support.builders import make_row
from tests.support.engines import make_input, take

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.daily_job_health import TABLE
from cilake.contracts.vocabulary.ci import FAILING, TEST_STATUSES, VERDICT_NAME
from cilake.sources.keys import hash_name
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.kpi import daily_job_health

DUCK = DuckEngine()
DAY = "2021-06-21"


def run(key, result, *, day=DAY, hour=12, passed=0, failed=0, flaky=0, running=0, other=0, **overrides):
    """A run with so many results of tests."""
    counts = {"passed_count": passed, "failed_count": failed, "flaky_count": flaky, "running_count": running}
    known = {"run_key": key, "run_date": day, "started_at": f"{day}T{hour:02}:00:00Z", "result": result}
    known |= counts | {"test_count": sum(counts.values()) + other, "run_url": f"https://ci.example/{key}"}
    return make_row(CI_RUNS, **(known | overrides))


def results(run, **statuses):
    """The results of a run by the names of tests."""
    known = {name: run[name] for name in ("run_key", "job_key", "started_at", "run_date")}
    return [
        make_row(TEST_RESULTS, **known, test_key=hash_name(name), test_status=status)
        for name, status in statuses.items()
    ]


def name_tests(*names):
    is_verdict = re.compile(VERDICT_NAME).match
    return [
        make_row(TESTS, test_key=hash_name(name), test_name=name, is_verdict=bool(is_verdict(name)))
        for name in names
    ]


def build(runs, test_results=(), tests=(), jobs=None, engine=DUCK):
    made = daily_job_health.transform(
        engine,
        ci_runs=make_input(engine, CI_RUNS, runs),
        ci_jobs=make_input(engine, CI_JOBS, [make_row(CI_JOBS)] if jobs is None else jobs),
        tests=make_input(engine, TESTS, list(tests)),
        test_results=make_input(engine, TEST_RESULTS, list(test_results)),
    )
    return take(made, TABLE)


def test_counts_add_up_and_the_ratio_is_over_what_ran():
    one = run(1, "failed", passed=1, failed=1, flaky=1, running=1, other=1)
    had = {"Overall": "failed", "a": "failed", "b": "passed", "c": "flaky", "d": "running", "e": "cancelled"}
    names = name_tests(*had)
    (row,) = build([one], results(one, **had), names)
    runs = (row.run_count, row.run_passed_count, row.run_failed_count, row.run_running_count)
    assert runs == (1, 0, 1, 0)
    counts = (row.passed_count, row.failed_count, row.flaky_count, row.running_count, row.other_count)
    assert counts == (1, 1, 1, 1, 1)
    assert row.pass_ratio == pytest.approx(1 / 3)
    assert (row.failing_test_count, row.failing_test_keys) == (1, [hash_name("a")])
    other = run(2, "passed", passed=3, flaky=1, running=2, other=4)
    (row,) = build([one, other], results(one, **had), names)
    counts = (row.passed_count, row.failed_count, row.flaky_count, row.running_count, row.other_count)
    assert counts == (4, 1, 2, 3, 5)
    assert row.pass_ratio == pytest.approx(4 / 7)


def test_a_skipped_test_is_in_no_denominator():
    one = run(1, "passed", passed=1, failed=1, other=1)
    had = {"Overall": "passed", "a": "failed", "b": "passed", "skipped": "passed_with_skips"}
    (row,) = build([one], results(one, **had), name_tests(*had))
    assert (row.passed_count, row.failed_count, row.other_count) == (1, 1, 1)
    assert row.pass_ratio == 0.5


def test_verdict_rows_are_no_tests_whatever_they_are_called():
    one = run(1, "failed", passed=1)
    verdicts = dict.fromkeys(("Overall", "job.Overall", "Pod", "job.Pod"), "failed")
    had = verdicts | {"a.Podium": "passed"}
    (row,) = build([one], results(one, **had), name_tests(*had))
    assert (row.passed_count, row.failed_count, row.failing_test_count) == (1, 0, 0)
    assert row.run_failed_count == 1
    (row,) = build([one], results(one, **verdicts, **{"a.Podium": "failed"}), name_tests(*had))
    assert row.failing_test_keys == [hash_name("a.Podium")]


def test_a_run_under_way_is_counted_as_running():
    (row,) = build([run(2, "running", hour=13), run(1, "passed", passed=1)])
    assert (row.run_count, row.run_passed_count, row.run_running_count) == (2, 1, 1)


def test_the_last_failed_run_of_the_day_is_linked():
    runs = [run(3, "passed", hour=13), run(2, "failed", hour=12), run(1, "failed", hour=11)]
    (row,) = build(runs)
    assert row.last_failed_at == datetime(2021, 6, 21, 12, tzinfo=UTC)
    (wanted,) = {run["run_url"] for run in runs if run["started_at"] == row.last_failed_at}
    assert row.last_failed_run_url == wanted
    (row,) = build([run(1, "passed")])
    assert (row.last_failed_at, row.last_failed_run_url) == (None, None)


def test_a_day_on_which_nothing_ran_to_an_end_has_no_ratio():
    (row,) = build([run(1, "running")])
    assert row.pass_ratio is None and row.failing_test_keys == []


def test_same_input_same_rows_and_duplicates_do_not_count_twice():
    assert TEST_RESULTS.primary_key == ("run_key", "test_key")
    runs = [run(1, "failed", failed=1, passed=1), run(2, "failed", hour=13, failed=2)]
    rows = results(runs[0], a="failed", b="passed") + results(runs[1], a="failed", b="failed")
    made = build(runs, rows)
    assert (made[0].failing_test_count, made[0].failed_count) == (2, 3), "a failed twice, and is one test"
    assert build(runs, rows) == made
    assert build(runs[::-1], rows[::-1] + rows, name_tests("a", "b")) == made


@pytest.mark.spark
def test_both_engines_make_the_same_rows(spark):
    """Days and jobs, ties, runs without page, verdict, results or job; results without run; all statuses."""
    jobs = [make_row(CI_JOBS, job_key=11), make_row(CI_JOBS, job_key=-12, release=None, platform=None)]
    runs = [
        run(1, "failed", passed=1, failed=3),
        run(2, "failed", passed=1, failed=1, run_url=None),
        run(-3, "failed", flaky=2),
        run(4, "passed", hour=13, passed=5, failed=1, other=1),
        run(5, None, day="2021-06-22", other=3),
        run(6, "running", day="2021-06-22", running=1),
        run(7, None, day="2021-06-23", job_key=-12, passed=1, failed=2, flaky=4),
        run(8, "failed", job_key=-12, failed=101, run_url=None),
        run(9, "failed", job_key=13, failed=1),
        *(
            run(20 + number, status, day="2021-06-24", hour=number, passed=number, other=1)
            for number, status in enumerate(TEST_STATUSES)
        ),
    ]
    failing = dict.fromkeys(map(str, range(40)), "failed")
    rows = [
        *results(runs[0], Overall="failed", a="failed", b="timed_out", c="build_failed", d="passed"),
        *results(runs[1], a="failed", d="passed"),
        *results(runs[3], Pod="failed", e="tool_failed", f="passed_with_skips"),
        *results(runs[4], a="cancelled", b="unknown", c="blocked"),
        *results(runs[6], a="flaky", Overall="failed"),
        *results(runs[7], **failing),
        *results(runs[8], a="failed"),
        *results(run(99, "failed"), z="failed"),
        *results(runs[9], **{status: status for status in TEST_STATUSES}),
        *results(runs[10], **{status: "failed" for status in TEST_STATUSES}),
    ]
    rows += rows[:3]
    tests = name_tests("Overall", "Pod", "a", "b", "c", "d", *failing)
    engine = SparkEngine(spark)
    made = build(runs, rows, tests, jobs)
    assert len(made) == 5
    (first,) = [row for row in made if (row.job_key, str(row.run_date)) == (11, DAY)]
    assert first.failing_test_keys == sorted(map(hash_name, "abce")) and min(first.failing_test_keys) < 0
    assert first.last_failed_at is not None and first.last_failed_run_url is None, "of the larger key"
    (newest,) = [row for row in made if str(row.run_date) == "2021-06-24"]
    assert (newest.run_failed_count, newest.failing_test_count) == (len(FAILING), len(TEST_STATUSES))
    assert build(runs, rows, tests, jobs, engine) == made
    assert build([], [], [], [], engine) == build([]) == []
