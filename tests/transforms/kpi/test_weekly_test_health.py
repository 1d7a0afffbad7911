"""Weekly test health: counts of results, flips and failing stretches, per job, test and week."""

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.support.builders import make_frame, make_row
from tests.support.decoded import rows_of

from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.publish.replace import days_condition
from cilake.transforms.kpi import weekly_test_health

pytestmark = pytest.mark.spark

MONDAY = date(2021, 6, 21)
STATUS = {1: "passed", 3: "passed_with_skips", 12: "failed", 13: "flaky", 4: "running"}
# Vectors of TestGrid's flip rate, without cells that did not run: statuses in time, percent of flips.
FLIP_VECTORS = [
    ([1, 1, 1], 0),
    ([1, 12, 1, 1, 13, 1, 1, 1, 1, 12], 30),
    ([1, 12, 12, 1, 1, 1, 1, 12, 1, 1], 20),
    ([1, 12, 12, 13, 12, 12, 1, 12, 1, 12], 50),
    ([1, 12, 12, 12, 1], 0),
    ([12, 12, 12, 12, 1], 0),
    ([12, 12, 12, 12, 12], 0),
    ([13, 13, 13], 100),
    ([1, 12] * 5, 50),
    ([1] * 5 + [1, 12] * 8 + [1] * 3, 100 * 8 / 24),
]


def build(spark, codes, *, weeks=(MONDAY,), first=None, step=timedelta(hours=6)):
    """The table from a test's codes in time, as far as the weeks reach."""
    first = first or datetime(2021, 6, 21, tzinfo=UTC)
    runs, results = [], []
    reach = min(weeks) - timedelta(days=weekly_test_health.LOOKBACK_DAYS)
    for number, code in enumerate(codes):
        started = first + number * step
        if started.date() < reach:
            continue
        known = {
            "run_key": 100 + number,
            "started_at": started.isoformat(),
            "run_date": started.date().isoformat(),
        }
        runs.append(make_row(CI_RUNS, **known, run_url=f"https://ci.example/{number}"))
        results.append(make_row(TEST_RESULTS, **known, test_status=STATUS[code]))
    rows = weekly_test_health.transform(
        test_results=make_frame(spark, TEST_RESULTS, results),
        ci_runs=make_frame(spark, CI_RUNS, runs),
        ci_jobs=make_frame(spark, CI_JOBS, [make_row(CI_JOBS)]),
        tests=make_frame(spark, TESTS, [make_row(TESTS)]),
    )
    return rows.where(days_condition("week_date", weeks))


def test_a_skip_is_no_pass_and_no_fix(spark):
    (row,) = build(spark, [1, 12, 12, 3, 3]).collect()
    assert (row.result_count, row.passed_count, row.failed_count) == (3, 1, 2)
    assert (row.fixed_count, row.is_failing) == (0, True)
    assert build(spark, [3, 3]).count() == 0, "a test that is always skipped never ran"


@pytest.mark.parametrize(("codes", "flip_percent"), FLIP_VECTORS, ids=str)
def test_flip_rate_is_that_of_testgrid(spark, codes, flip_percent):
    (row,) = build(spark, codes).collect()
    flips = row.flaky_count + row.broken_count - row.persistent_stretch_count
    assert row.result_count == len(codes)
    assert 100 * flips / row.result_count == pytest.approx(flip_percent)


def test_stretches_fixes_and_the_last_failure(spark):
    (row,) = build(spark, [1, 12, 12, 1, 12, 4, 12, 13, 12]).collect()
    assert (row.result_count, row.passed_count, row.failed_count, row.flaky_count) == (8, 2, 5, 1)
    assert (row.stretch_count, row.long_stretch_count, row.broken_count, row.fixed_count) == (3, 2, 3, 2)
    assert row.fix_seconds == (2 + 3) * 6 * 3600, "from a stretch's first failure to the result that ends it"
    assert row.last_failed_run_url == "https://ci.example/8"


def test_the_newest_start_of_failing_with_what_was_good_before_it(spark):
    (row,) = build(spark, [12, *[1] * 5, 13, 12, 12, 1, 12, 1, 12, 12]).collect()
    assert (row.started_failing_run_url, row.last_good_run_url) == (
        "https://ci.example/7",
        "https://ci.example/6",
    ), "what broke after one good result did not start to fail there"
    assert (row.good_before_count, row.failed_since_count, row.result_since_count) == (6, 5, 7)
    assert row.started_failing_at - row.last_good_at == timedelta(hours=6)
    assert row.is_failing


def test_a_test_that_never_started_failing_says_nothing_of_it(spark):
    for codes, is_failing in (([12, 12], True), ([*[1] * 6, 13], False), ([*[1] * 4, 12], True)):
        (row,) = build(spark, codes).collect()
        told = (row.started_failing_at, row.good_before_count, row.failed_since_count, row.last_good_run_url)
        assert told == (None, None, None, None)
        assert row.is_failing is is_failing


def test_what_was_good_before_is_counted_as_far_as_one_looks_back(spark):
    options = {"first": datetime(2021, 6, 1, 5, tzinfo=UTC), "step": timedelta(days=1)}
    (row,) = build(spark, [1] * 22 + [12], **options).collect()
    assert row.good_before_count == weekly_test_health.LOOKBACK_DAYS
    weeks = [MONDAY - timedelta(days=7), MONDAY]
    together = {row.week_date: row for row in build(spark, [1] * 22 + [12], weeks=weeks, **options).collect()}
    assert together[MONDAY] == row


def test_a_week_continues_what_the_weeks_before_it_began(spark):
    two_weeks = [MONDAY - timedelta(days=7), MONDAY]
    options = {"weeks": two_weeks, "first": datetime(2021, 6, 19, tzinfo=UTC), "step": timedelta(days=1)}
    before, after = sorted(build(spark, [1, 12, 12, 1], **options).collect(), key=lambda row: row.week_date)
    assert (before.broken_count, before.long_stretch_count, before.fixed_count) == (1, 0, 0)
    assert (after.broken_count, after.long_stretch_count, after.fixed_count) == (0, 1, 1)
    assert after.fix_seconds == 2 * 86400
    (only,) = build(spark, [1, 12, 12, 1], **options | {"weeks": [MONDAY]}).collect()
    assert only == after, "a week built alone equals the week built with others"


@pytest.mark.parametrize("codes", [[1, *[12] * 38, 1], [12, 1, *[12] * 19, *[1] * 9, *[12] * 9, 1]], ids=len)
def test_a_long_stretch_is_the_same_whatever_is_built_with_the_week(spark, codes):
    weeks = [MONDAY + timedelta(days=7 * number) for number in range(6)]
    options = {"first": datetime(2021, 6, 21, 5, tzinfo=UTC), "step": timedelta(days=1)}
    together = {row.week_date: row for row in build(spark, codes, weeks=weeks, **options).collect()}
    apart = {week: build(spark, codes, weeks=[week], **options).collect() for week in together}
    assert apart == {week: [row] for week, row in together.items()}
    days = weekly_test_health.LOOKBACK_DAYS
    assert max(row.fix_seconds for row in together.values()) == days * 86400, (
        "counted as far as one looks back"
    )


def test_what_never_ran_to_an_end_has_no_row_and_empty_input_none(spark):
    assert build(spark, [4, 4]).count() == 0
    assert build(spark, []).count() == 0


def test_same_input_same_rows(spark):
    codes = [1, 12, 13, 1, 12]
    assert rows_of(build(spark, codes)) == rows_of(build(spark, codes))
    assert build(spark, codes).columns == weekly_test_health.TABLE.column_names


@pytest.mark.parametrize(
    ("codes", "at_once", "good_before"),
    [
        ([1] * 5 + [1, 12], 2, 6),
        ([1] * 5 + [12, 1, 12], 3, 1),
        ([1] * 5 + [1, 1, 12], 3, 7),
        ([1, 12, 1, 12], 4, 1),
    ],
    ids=["passed and failed", "failed, passed and failed", "passed twice and failed", "all at once"],
)
def test_runs_of_one_instant_are_ordered_by_their_keys(spark, codes, at_once, good_before):
    """Runs of a matrix start together: the last ``at_once`` of these have one start."""
    first = datetime(2021, 6, 21, tzinfo=UTC)
    starts = [first + timedelta(hours=min(number, len(codes) - at_once)) for number in range(len(codes))]
    stretches = weekly_test_health._stretches(sequence(spark, codes, starts)).orderBy("run_key").collect()
    assert stretches[-1].begins and stretches[-1].good_before_count == good_before
    assert stretches[-1].last_good.run_key == len(codes) - 2


def test_a_stretch_that_ends_where_another_begins_has_its_own_length(spark):
    """It failed at 0 and 1 o'clock; at 2 three runs started together: passed, failed, passed."""
    starts = [datetime(2021, 6, 21, hour, tzinfo=UTC) for hour in (0, 1, 2, 2, 2)]
    rows = weekly_test_health._stretches(sequence(spark, [12, 12, 1, 12, 1], starts)).orderBy("run_key")
    ended = [(row.run_key, row.failing_since.hour) for row in rows.collect() if row.ends]
    assert ended == [(2, 0), (4, 2)]


def sequence(spark, codes, starts):
    """The results of a test, in the order of their keys."""
    rows = [
        (11, 31, MONDAY, number, started, code == 12, code == 13)
        for number, (code, started) in enumerate(zip(codes, starts, strict=True))
    ]
    return spark.createDataFrame(
        rows,
        "job_key long, test_key long, week_date date, run_key long, started_at timestamp, "
        "failed boolean, flaky boolean",
    )
