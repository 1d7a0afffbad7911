"""Training says what it lacks, and learns as soon as it can; the real stack trains in tests/integration."""

from datetime import date

import pytest
from tests.models.test_failure.worlds import results, runs_of

from cilake.apps.train import EVALUATED, ShortHistory, fit, split_by_time
from cilake.models.test_failure.features import compute_features

DAY = date(2021, 3, 1)


def features_of(*rows):
    table = results(*rows)
    return compute_features(table, runs_of(table))


def daily_world(letters, *, tests=20, step=0.25, runs=48):
    """A job whose every run, ``step`` hours after the one before, has a result per test by the letters."""
    return features_of(
        *(
            (run * 100 + test, 1, test, run * step, letters[(run * 7 + test) % len(letters)])
            for run in range(runs)
            for test in range(tests)
        )
    )


def test_no_results_at_all():
    with pytest.raises(ShortHistory, match=f"no test has two results by the end of {DAY}"):
        split_by_time(features_of(), DAY)


def test_results_that_are_still_running():
    rows = [(number, 1, 1, number, "r") for number in range(5)]
    with pytest.raises(ShortHistory, match="no test has two results"):
        split_by_time(features_of(*rows), DAY)


def test_one_day_with_one_result_per_test():
    with pytest.raises(ShortHistory, match="no test has two results"):
        split_by_time(features_of((1, 1, 1, 0, "p"), (1, 1, 2, 0, "f"), (2, 2, 3, 5, "p")), DAY)


def test_one_instant_cannot_be_split():
    rows = [(1, 1, 1, 0, "p"), (2, 1, 1, 4, "p"), (1, 1, 2, 0, "p"), (2, 1, 2, 4, "f")]
    with pytest.raises(ShortHistory, match="are of one instant, 2021-03-01 04:00"):
        split_by_time(features_of(*rows), DAY)


@pytest.mark.parametrize(
    ("letters", "said"),
    [
        ("p", r"^0 of \d+ results before 2021-03-01 .* failed; at least 50 must have failed and as many"),
        ("f", r"^(\d+) of \1 results"),
        ("p" * 199 + "f", r"^[1-9] of \d+ results"),
        ("f" * 199 + "p", r"^\d+ of \d+ results"),
    ],
    ids=["nothing failed", "everything failed", "few failed", "few passed"],
)
def test_one_day_with_nothing_to_tell_apart(letters, said):
    with pytest.raises(ShortHistory, match=said):
        fit(split_by_time(daily_world(letters), DAY))


def test_enough_failures_make_a_model():
    split = split_by_time(daily_world("ppppf"), DAY)
    assert fit(split).estimator is not None


@pytest.mark.parametrize(("step", "is_week"), [(0.25, False), (20.0, True)], ids=["15 hours", "50 days"])
def test_what_is_later_is_never_trained_on(step, is_week):
    features = daily_world("ppppf", step=step, runs=60)
    split = split_by_time(features, DAY)
    assert max(split.earlier["started_at"].to_pylist()) < split.evaluated_from
    assert min(split.later["started_at"].to_pylist()) >= split.evaluated_from
    assert split.earlier.num_rows + split.later.num_rows == features.num_rows
    evaluated = split.evaluated_until - split.evaluated_from
    assert evaluated == (EVALUATED if is_week else (split.evaluated_until - split.trained_from) / 5)
