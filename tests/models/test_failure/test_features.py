"""Features: hand-computed windows, and that nothing but the past decides them."""

import math
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.models.test_failure import worlds
from tests.models.test_failure.worlds import hours, results, runs_of

from cilake.models.test_failure import spec
from cilake.models.test_failure.features.compute import (
    FEATURES_SCHEMA,
    RESULTS_SCHEMA,
    RUNS_SCHEMA,
    compute_features,
    pending_decisions,
)


def canonical(table: pa.Table) -> pa.Table:
    keys = ("test_key", "job_key", "started_at", "run_key")
    return table.combine_chunks().sort_by([(key, "ascending") for key in keys])


def same(left: pa.Table, right: pa.Table) -> bool:
    """Equal to the last bit; Arrow holds NaN unequal to itself."""
    if left.schema != right.schema or len(left) != len(right):
        return False
    for a, b in zip(left.columns, right.columns, strict=True):
        x, y = a.to_numpy(), b.to_numpy()
        if a.type == pa.float32():
            if x.tobytes() != y.tobytes():
                return False
        elif a.to_pylist() != b.to_pylist():
            return False
    return True


def test_every_declared_feature_is_computed_and_known_by_what_it_says():
    """Each column differs somewhere in a world with everything in it, so none is a constant by mistake."""
    rows = compute_features(*worlds.random_world(jobs=5, tests=40, runs=90))
    assert rows.schema == FEATURES_SCHEMA
    constant = [name for name in spec.FEATURES if len(set(np.nan_to_num(rows[name].to_numpy(), nan=-1))) < 2]
    assert constant == []


def one_job(undecided="r"):
    letters = f"pfpkff{undecided}pp"
    return results(*((i, 1, 7, 4 * i, letter) for i, letter in enumerate(letters)))


@pytest.mark.parametrize("letter", "rs")
def test_own_windows_by_hand(letter):
    table = one_job(letter)
    rows = compute_features(table, runs_of(table)).to_pylist()
    # The first result is no decision and the undecided cell (hour 24) does not exist.
    assert [row["run_key"] for row in rows] == [1, 2, 3, 4, 5, 7, 8]
    assert [row["has_failed"] for row in rows] == [True, False, False, True, True, False, False]
    last = rows[-1]  # knows p f p k f f p
    assert last["own_run_count"] == 7
    assert last["own_fail_count"] == 3
    assert last["own_failed_last_1"] == 0
    assert last["own_fail_count_3"] == 2
    assert last["own_fail_count_5"] == 2
    assert last["own_fail_count_10"] == 3
    assert last["own_flaky_count_10"] == 1
    assert last["own_flaky_ratio"] == pytest.approx(1 / 7)
    assert last["own_fail_streak_count"] == 0
    assert last["own_clean_streak_count"] == 1
    assert last["own_hours_since_result"] == 4
    assert last["own_hours_since_failure"] == 12
    assert last["own_age_days"] == pytest.approx(32 / 24)
    assert last["own_fail_log_odds"] == pytest.approx(math.log(3.02 / (4 + 1.98)), rel=1e-5)
    weight = 0.5**0.25
    assert last["own_decayed_fail_score"] == pytest.approx(weight + weight**2 + weight**5, rel=1e-5)
    # Newest first: p f f k p f p -> flips at f, k, f; considered 7.
    assert last["own_flip_rate"] == pytest.approx(100 * 3 / 7, rel=1e-5)
    assert last["job_run_count"] == 8
    assert last["job_fail_ratio_last_1"] == 0
    assert last["job_fail_ratio_last_3"] == pytest.approx(2 / 3, abs=1e-6)
    after_failures = rows[5]  # knows p f p k f f
    assert after_failures["own_fail_streak_count"] == 2
    assert after_failures["own_clean_streak_count"] == 0
    never = rows[0]
    assert math.isnan(never["own_hours_since_failure"])
    assert never["elsewhere_result_count_24h"] == 0


def test_other_jobs_by_hand():
    table = results(
        (1, 1, 7, 0, "p"),
        (2, 2, 7, 10, "f"),
        (3, 3, 7, 20, "f"),
        (4, 3, 7, 22, "p"),
        (5, 4, 7, 30, "k"),
        (6, 5, 7, 31, "f"),
        (7, 1, 7, 31, "f"),  # decision: the run of job 5 started at the same instant and is not known
        (8, 2, 8, 30, "f"),  # another test
        (9, 1, 7, 60, "p"),
    )
    rows = {row["run_key"]: row for row in compute_features(table, runs_of(table)).to_pylist()}
    row = rows[7]
    assert row["elsewhere_result_count_24h"] == 4  # hours 10, 20, 22, 30
    assert row["elsewhere_fail_count_24h"] == 2
    assert row["elsewhere_fail_count_6h"] == 0
    assert row["elsewhere_flaky_ratio_7d"] == pytest.approx(1 / 4)
    assert row["elsewhere_failing_job_count"] == 1  # job 2; job 3 has recovered
    assert row["test_fail_count_last_10"] == 2
    assert row["test_hours_since_failure"] == 11
    later = rows[9]
    assert later["elsewhere_failing_job_count"] == 2  # jobs 2 and 5, not its own failure
    assert later["test_fail_count_last_10"] == 4


def test_what_was_skipped_or_runs_still_is_in_no_denominator():
    ended = [(1, 1, 0, 0, "f"), (1, 1, 1, 0, "p")]
    others = [(1, 1, test, 0, "s" if test < 60 else "r") for test in range(2, 100)]
    table = results(*ended, *others, (2, 1, 0, 4, "k"), (2, 1, 2, 4, "s"), (3, 1, 0, 5, "p"))
    rows = {row["run_key"]: row for row in compute_features(table, runs_of(table)).to_pylist()}
    assert rows[2]["job_fail_ratio_last_1"] == 0.5
    assert rows[2]["platform_fail_ratio_6h"] == rows[2]["platform_fail_ratio_24h"] == 0.5
    assert rows[2]["own_last_failure_run_ratio"] == 0.5
    assert rows[2]["own_isolated_fail_count_10"] == 0
    assert rows[2]["job_mass_failure_count_10"] == 1
    assert rows[3]["job_fail_ratio_last_3"] == rows[3]["job_fail_ratio_last_10"] == 0.25
    assert rows[3]["platform_fail_ratio_6h"] == pytest.approx(1 / 3)
    assert rows[3]["job_test_count_change"] == pytest.approx(1 / 1.5)


def test_a_failure_elsewhere_is_forgotten():
    table = results((1, 1, 7, 0, "f"), (2, 2, 7, 0, "p"), (3, 2, 7, 72, "p"), (4, 2, 7, 73, "p"))
    rows = {row["run_key"]: row for row in compute_features(table, runs_of(table)).to_pylist()}
    assert rows[3]["elsewhere_failing_job_count"] == 1
    assert rows[4]["elsewhere_failing_job_count"] == 0


def test_failures_of_siblings():
    quiet = [(1, 1, test, 0, "f" if test == 0 else "p") for test in range(40)]
    outage = [(2, 1, test, 5, "f") for test in range(40)]
    table = results(*quiet, *outage, (3, 1, 0, 9, "p"), (3, 1, 1, 9, "p"))
    rows = {
        row["test_key"]: row
        for row in compute_features(table, runs_of(table)).to_pylist()
        if row["run_key"] == 3
    }
    assert rows[0]["own_isolated_fail_count_10"] == 1
    assert rows[1]["own_isolated_fail_count_10"] == 0
    assert rows[0]["own_last_failure_run_ratio"] == 1
    assert rows[0]["job_mass_failure_count_10"] == 1
    assert rows[0]["job_fail_count_last_1"] == 40


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("cut", [30.0, 100.0, 101.5])
def test_the_future_changes_nothing(seed, cut):
    """What started later, and what was corrected or added later, never reaches an earlier decision."""
    table, runs = worlds.random_world(seed)
    moment = pa.scalar(hours(cut), RESULTS_SCHEMA.field("started_at").type)
    past = table.filter(pc.less(table["started_at"], moment))
    past_runs = runs.filter(pc.less(runs["started_at"], moment))
    expected = compute_features(past, past_runs)
    assert len(expected) > 100
    later = table.filter(pc.greater_equal(table["started_at"], moment))
    later_runs = runs.filter(pc.greater_equal(runs["started_at"], moment))
    contrary = pc.if_else(pc.equal(later["test_status"], "failed"), "passed", "failed")
    index = later.schema.get_field_index("test_status")
    for future, future_runs in (
        (later, later_runs),
        (later.set_column(index, later.schema.field(index), contrary), later_runs),
        (later.slice(0, len(later) // 2), later_runs.slice(0, len(later_runs) // 2)),
    ):
        whole = compute_features(pa.concat_tables([past, future]), pa.concat_tables([past_runs, future_runs]))
        rebuilt = whole.filter(pc.less(whole["started_at"], moment))
        assert same(canonical(rebuilt), canonical(expected))


@pytest.mark.parametrize("seed", [0, 3])
def test_tests_may_be_split_over_calls(seed):
    table, runs = worlds.random_world(seed)
    bucket = np.mod(table["test_key"].to_numpy(), 3)
    parts = [compute_features(table.filter(pa.array(bucket == i)), runs) for i in range(3)]
    assert same(canonical(pa.concat_tables(parts)), canonical(compute_features(table, runs)))


def test_rows_in_any_order_give_the_same():
    table, runs = worlds.random_world(4)
    order = pa.array(np.random.default_rng(0).permutation(len(table)))
    shuffled = compute_features(table.take(order), runs.take(pa.array(np.arange(len(runs))[::-1])))
    assert same(canonical(shuffled), canonical(compute_features(table, runs)))


def test_pending_row_gets_what_the_real_run_gets():
    table, runs = worlds.random_world(5)
    moment = sorted(set(table["started_at"].to_pylist()))[-5]
    at = pa.scalar(moment, RESULTS_SCHEMA.field("started_at").type)
    past = table.filter(pc.less(table["started_at"], at))
    past_runs = runs.filter(pc.less(runs["started_at"], at))
    pending = pending_decisions(past, moment)
    asked = compute_features(pa.concat_tables([past, pending]), past_runs, only_pending=True)
    real = compute_features(table, runs)
    real = real.filter(pc.equal(real["started_at"], at))
    assert len(real) > 10
    answer = {(row["job_key"], row["test_key"]): row for row in asked.to_pylist()}
    for row in real.to_pylist():
        mine = answer[row["job_key"], row["test_key"]]
        assert [mine[name] for name in spec.FEATURES] == pytest.approx(
            [row[name] for name in spec.FEATURES], nan_ok=True, abs=0, rel=0
        )


def test_pending_rows_alone_get_what_they_get_among_all():
    table, runs = worlds.random_world(6)
    pending = pending_decisions(table, max(table["started_at"].to_pylist()))
    together = pa.concat_tables([table, pending])
    among_all = compute_features(together, runs)
    among_all = among_all.filter(pc.is_null(among_all["has_failed"]))
    assert len(among_all) == len(pending) > 10
    assert same(compute_features(together, runs, only_pending=True), among_all)


def test_pending_decisions_are_the_active_entities():
    table = results(
        (1, 1, 7, 0, "p"),
        (2, 1, 8, 24 * 10, "p"),
        (3, 1, 8, 24 * 11, "f"),
        (4, 2, 8, 24 * 12, "r"),
        (5, 3, 9, 24 * 20, "p"),
    )
    at = hours(24 * 20)
    pending = pending_decisions(table, at)
    assert pending.select(["job_key", "test_key"]).to_pylist() == [{"job_key": 1, "test_key": 8}]
    assert pending.schema == RESULTS_SCHEMA
    assert pending["started_at"].to_pylist() == [at]
    with pytest.raises(ValueError, match="time zone"):
        pending_decisions(table, datetime(2021, 1, 1))  # noqa: DTZ001


def test_a_test_that_was_skipped_last_is_not_pending():
    """Without it a test that never runs, but failed in an outage, would be likely to fail for two weeks."""
    table = results(
        (1, 1, 7, 0, "f"),
        (1, 1, 8, 0, "f"),
        (1, 1, 9, 0, "s"),
        (2, 1, 7, 24, "s"),
        (2, 1, 8, 24, "s"),
        (3, 1, 8, 48, "p"),
        (4, 1, 8, 60, "r"),
    )
    pending = pending_decisions(table, hours(72))
    assert pending["test_key"].to_pylist() == [8]


def test_empty_and_hostile_input():
    empty = RESULTS_SCHEMA.empty_table()
    assert len(compute_features(empty, RUNS_SCHEMA.empty_table())) == 0
    table = one_job()
    with_no_runs = compute_features(table, RUNS_SCHEMA.empty_table())
    assert set(with_no_runs["job_run_count"].to_pylist()) == {0}
    with pytest.raises(ValueError, match="lacks the columns test_status"):
        compute_features(table.drop_columns(["test_status"]), runs_of(table))
    strange = table.set_column(4, "test_status", pa.array(["exploded"] * len(table)))
    with pytest.raises(ValueError, match="exploded"):
        compute_features(strange, runs_of(table))


def test_dictionary_statuses_give_the_same():
    table, runs = worlds.random_world(6)
    encoded = table.set_column(4, "test_status", table["test_status"].dictionary_encode())
    assert same(compute_features(encoded, runs), compute_features(table, runs))
