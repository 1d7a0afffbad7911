"""The question *which tests started failing* of the guide, on the synthetic world's planted truth."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from deploy.superset.guide_queries import read_queries
from tests.support.builders import make_row
from tests.support.engines import make_input

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.weekly_test_health import LOOKBACK_DAYS
from cilake.publish.replace import days_condition
from cilake.transforms.engines import DuckEngine, SparkEngine
from cilake.transforms.kpi import weekly_test_health
from ciworld.world.statuses import FAIL, FLAKY, NO_RESULT, SKIPPED
from ciworld.world.synthetic import SyntheticWorld

DUCK = DuckEngine()
END = datetime(2026, 3, 18, tzinfo=UTC)
SINCE = END - timedelta(days=16 + LOOKBACK_DAYS)
WORDS = {FAIL: "failed", FLAKY: "flaky", SKIPPED: "passed_with_skips"}
STEADY_TESTS = 30
"""So many tests of each job that are planted nowhere go along: they must not be listed."""


@pytest.fixture(scope="module")
def world():
    return SyntheticWorld(7)


@pytest.fixture(scope="module")
def active(world):
    """The planted regressions that began in the newest week and are not fixed, with one job of each."""
    week = END - timedelta(days=7)
    found = [r for r in world.universe.regressions if week < r.start < END - timedelta(days=1) < END < r.fix]
    assert found, "the world has none at this time"
    return [(regression, min(regression.jobs)) for regression in found]


def started_failing(world, chosen_jobs, chosen_tests, engine=DUCK):
    """What the guide's query returns about these jobs and tests of the world, by names."""
    universe = world.universe
    runs, jobs, columns = (
        [],
        [],
        {name: [] for name in ("run_key", "job_key", "test_key", "started_at", "test_status")},
    )
    for number in chosen_jobs:
        job = universe.jobs[number]
        jobs.append(make_row(CI_JOBS, job_key=number, job_name=job.name))
        kept = np.flatnonzero(np.isin(job.tests, list(chosen_tests)))
        for run in world.runs(job, SINCE, END):
            codes = world.codes(run)[kept]
            runs.append(
                make_row(
                    CI_RUNS,
                    run_key=run.key >> 1,
                    job_key=number,
                    run_url=f"https://ci.example/{run.build_id}",
                )
            )
            for test, code in zip(job.tests[kept].tolist(), codes.tolist(), strict=True):
                if code != NO_RESULT:
                    row = (run.key >> 1, number, test, run.started, WORDS.get(code, "passed"))
                    for values, value in zip(columns.values(), row, strict=True):
                        values.append(value)
    results = pa.table(columns | {"run_date": [at.date() for at in columns["started_at"]]})
    tests = [make_row(TESTS, test_key=test, test_name=universe.names[test]) for test in chosen_tests]
    monday = END.date() - timedelta(days=END.weekday())
    weekly = weekly_test_health.transform(
        engine,
        test_results=engine.spark.createDataFrame(results) if isinstance(engine, SparkEngine) else results,
        ci_runs=make_input(engine, CI_RUNS, runs),
        ci_jobs=make_input(engine, CI_JOBS, jobs),
        tests=make_input(engine, TESTS, tests),
    )
    newest = days_condition("week_date", [monday - timedelta(days=7), monday])
    (question,) = [q.sql for q in read_queries() if q.label.startswith("Which tests started failing")]
    answer = engine.sql(
        question.replace("kpi.weekly_test_health", "weekly_test_health").replace("limit 20", ""),
        weekly_test_health=engine.sql(f"SELECT * FROM weekly WHERE {newest}", weekly=weekly),
    )
    held = answer.toArrow() if isinstance(engine, SparkEngine) else answer
    return {(row["job_name"], row["test_name"]): SimpleNamespace(**row) for row in held.to_pylist()}


def test_planted_regressions_are_listed_with_their_first_failing_run_and_little_else(world, active):
    universe = world.universe
    jobs = sorted({job for _, job in active})
    planted = {
        (universe.jobs[job].name, universe.names[test]): (regression, job)
        for regression, job in active
        for test in regression.tests
        if test in universe.jobs[job].tests and test not in universe.renames
    }
    quiet = {test for job in jobs for test in universe.jobs[job].tests[:STEADY_TESTS].tolist()}
    listed = started_failing(world, jobs, quiet | {t for r, _ in active for t in r.tests})
    found = listed.keys() & planted.keys()
    assert len(found) >= 0.9 * len(planted), sorted(planted.keys() - found)
    assert len(found) >= 0.9 * len(listed), sorted(listed.keys() - found)
    for key in found:
        regression, job = planted[key]
        first = next(run for run in world.runs(universe.jobs[job], regression.start, END))
        # It fails in most runs, not in all: the first failure is in one of the first runs.
        assert timedelta(0) <= listed[key].failing_since - first.started < timedelta(days=1)
        assert listed[key].first_failed_run != listed[key].last_good_run


@pytest.mark.spark
def test_both_engines_answer_alike(spark, world, active):
    """For a job with a planted regression."""
    regression, job = active[0]
    chosen = {*regression.tests, *world.universe.jobs[job].tests[:5].tolist()}
    listed = started_failing(world, [job], chosen)
    assert listed
    engine = SparkEngine(spark)
    assert started_failing(world, [job], chosen, engine) == listed
