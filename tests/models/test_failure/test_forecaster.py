"""Training says what it lacks, and learns as soon as it can; a whole lake trains in test_predictions.py."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from tests.models.test_failure.worlds import random_world, results, runs_of

from cilake.models.split import ShortHistory
from cilake.models.test_failure.forecaster import bucket_sampler, evaluated_from, fit, split
from cilake.models.test_failure.spec import MODEL

DAY = date(2021, 3, 1)


def split_of(*rows):
    """What training makes of results, all in one bucket."""
    table = results(*rows)
    runs = runs_of(table)
    at = evaluated_from(runs, DAY)
    return split(bucket_sampler(runs, at)(table), at, DAY)


def daily_world(letters, *, tests=20, step=0.25, runs=48):
    """The split of a job with a run every ``step`` hours, whose results are by the letters."""
    return split_of(
        *(
            (run * 100 + test, 1, test, run * step, letters[(run * 7 + test) % len(letters)])
            for run in range(runs)
            for test in range(tests)
        )
    )


def test_no_results_at_all():
    with pytest.raises(ShortHistory, match=f"no test has two results in the 120 days until the end of {DAY}"):
        split_of()


def test_results_that_are_still_running():
    rows = [(number, 1, 1, number, "r") for number in range(5)]
    with pytest.raises(ShortHistory, match="no test has two results"):
        split_of(*rows)


def test_one_day_with_one_result_per_test():
    with pytest.raises(ShortHistory, match="no test has two results"):
        split_of((1, 1, 1, 0, "p"), (1, 1, 2, 0, "f"), (2, 2, 3, 5, "p"))


def test_one_instant_cannot_be_split():
    rows = [(1, 1, 1, 0, "p"), (2, 1, 1, 4, "p"), (1, 1, 2, 0, "p"), (2, 1, 2, 4, "f")]
    with pytest.raises(
        ShortHistory, match="no decision known by the end of 2021-03-01 is before 2021-03-01 03:00"
    ):
        split_of(*rows)


@pytest.mark.parametrize(
    ("letters", "message"),
    [
        ("p", r"^0 of \d+ results before 2021-03-01 .* failed; at least 50 must have failed and as many"),
        ("f", r"^(\d+) of \1 results"),
        ("p" * 199 + "f", r"^[1-9] of \d+ results"),
        ("f" * 199 + "p", r"^\d+ of \d+ results"),
    ],
    ids=["nothing failed", "everything failed", "few failed", "few passed"],
)
def test_one_day_with_nothing_to_tell_apart(letters, message):
    with pytest.raises(ShortHistory, match=message):
        fit(daily_world(letters))


def test_enough_failures_make_a_model():
    assert fit(daily_world("ppppf")).estimator is not None


@pytest.mark.parametrize(("step", "is_whole"), [(0.25, False), (60.0, True)], ids=["15 hours", "150 days"])
def test_what_is_later_is_never_trained_on(step, is_whole):
    daily = daily_world("ppppf", step=step, runs=60)
    assert max(daily.earlier["started_at"].to_pylist()) < daily.evaluated_from
    assert min(daily.later["started_at"].to_pylist()) >= daily.evaluated_from
    assert daily.earlier.num_rows + daily.later.num_rows == 59 * 20
    evaluated = daily.evaluated_until - daily.evaluated_from
    pooled = timedelta(days=MODEL.gate.pooled_days)
    assert evaluated == pooled if is_whole else evaluated < pooled


@pytest.mark.parametrize("buckets", [2, 3])
def test_buckets_of_tests_give_the_sample_of_all(buckets):
    table, runs = random_world(3, tests=40)
    at = evaluated_from(runs, DAY)
    sampler = bucket_sampler(runs, at)
    bucket = np.mod(table["test_key"].to_numpy(), buckets)
    parts = pa.concat_tables([sampler(table.filter(pa.array(bucket == i))) for i in range(buckets)])
    whole, pieced = split(sampler(table), at, DAY), split(parts, at, DAY)
    for mine, all_of_it in ((pieced.earlier, whole.earlier), (pieced.later, whole.later)):
        for name in all_of_it.column_names:
            left, right = mine[name].to_numpy(), all_of_it[name].to_numpy()
            assert np.array_equal(left, right, equal_nan=left.dtype.kind == "f"), name
