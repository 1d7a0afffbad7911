"""What a step makes: which rows of which tables, and which of their days follow from a changed input."""

from datetime import date, timedelta

from cilake.build.targets import affected_periods, targets_of, watched_by
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.predictions.test_failure import TABLE as LEDGER

DAY = date(2021, 6, 23)
TARGETS = {target.table.address: target for target in targets_of("measure_test_failure")}


def days(first, last):
    return [DAY + timedelta(days=n) for n in range(first, last + 1)]


def affected(address, source):
    return affected_periods(TARGETS[address], source, [DAY], list(TARGETS.values()))


def test_a_run_affects_what_its_results_decide_and_what_follows_from_that():
    assert affected("predictions.test_failure_outcomes", CI_RUNS) == days(-14, 0)
    assert affected("predictions.accuracy", CI_RUNS) == days(-14, 0)
    assert affected("kpi.calibration_bins", CI_RUNS) == days(-14, 0)


def test_what_people_read_of_predictions_is_of_their_model_and_follows_runs_and_predictions():
    (likely,) = targets_of("build_kpi_predictions")
    assert likely.where == "model_name = 'test_failure'"
    assert affected_periods(likely, CI_RUNS, [DAY], [likely]) == days(0, 28)
    assert set(watched_by(likely, [likely])) == {LEDGER, CI_RUNS}


def test_predictions_affect_their_own_day_alone():
    for address in TARGETS:
        assert affected(address, LEDGER) == [DAY], address


def test_tables_follow_inputs_also_by_way_of_tables_of_the_same_step():
    for target in TARGETS.values():
        assert {LEDGER, CI_RUNS} == set(watched_by(target, list(TARGETS.values()))), target.table.address


def test_a_step_makes_the_rows_of_its_model_alone_from_the_tables_of_that_model():
    accuracy = TARGETS["predictions.accuracy"]
    assert accuracy.where == "model_name = 'test_failure'"
    assert {argument: one.address for argument, one in accuracy.inputs.items()} == {
        "predictions": "predictions.test_failure",
        "outcomes": "predictions.test_failure_outcomes",
    }
    assert TARGETS["predictions.test_failure_outcomes"].where == "true"


def test_what_is_made_comes_after_its_inputs():
    order = list(TARGETS)
    for target in TARGETS.values():
        for one in target.inputs.values():
            if one.address in TARGETS:
                assert order.index(one.address) < order.index(target.table.address)
