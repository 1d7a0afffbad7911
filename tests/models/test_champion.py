"""Who serves: a champion while the ledger says that it is better, and while its training is fresh."""

import pytest
from tests.support.builders import make_row
from tests.support.predicted_world import World, select

from cilake.commands import measure, train
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.lake import model_store
from cilake.models import champion, serving
from cilake.models.test_failure.spec import MODEL

pytestmark = pytest.mark.spark

WORLD = World()


def registered(lake, number, **changes):
    """A champion by name only."""
    given = {"model_name": MODEL.name, "status": "promoted"}
    row = make_row("ops.model_versions", trained_through_date=WORLD.day(number), **given)
    lake.insert("ops.model_versions", [row | changes])
    return row["model_version"]


def serves(lake, number):
    found = serving.serving(lake.catalog, MODEL, WORLD.day(number))
    return found and found["model_version"]


def nights_of(lake, probability, nights):
    """Nights of a champion that gave this probability to six tests failing every night; its baseline 0.3."""
    version = registered(lake, 0)
    predictions, runs, results = [], [], []
    for number in range(nights):
        predictions += [
            make_row(
                PREDICTIONS,
                prediction_date=WORLD.day(number),
                job_key=0,
                test_key=test,
                model_version=version,
                failure_probability=probability if test < 6 else 0.2,
                shrunken_probability=0.3 if test < 6 else 0.2,
                scored_at=f"{WORLD.day(number + 1)}T00:30:00Z",
            )
            for test in range(WORLD.tests)
        ]
        run, of_run = WORLD.run(number + 1, 0, 5, failed=set(range(6)))
        runs.append(run)
        results += of_run
    WORLD.append(lake, PREDICTIONS, predictions)
    WORLD.append(lake, TEST_RESULTS, results)
    WORLD.append(lake, CI_RUNS, runs)
    measure.measure(lake.settings, WORLD.night(nights), model=MODEL)
    return version


def test_a_champion_that_is_worse_than_its_baseline_is_demoted_and_the_baseline_serves(lake):
    version = nights_of(lake, 0.1, 22)
    rows = select(lake, "ops.model_versions", "model_version", "status", "decided_date", "gate_reasons")
    (demoted,) = [row for row in rows if row[1] == "demoted"]
    assert demoted[0] == version
    assert demoted[2] == WORLD.day(21)
    assert "worse than shrunken_history on what it predicted; gain over shrunken_history -" in demoted[3]
    assert serves(lake, 21) == version, "of that night it made the predictions"
    assert serves(lake, 22) is None
    champion.judge(lake.spark, lake.catalog, MODEL)
    measure.measure(lake.settings, WORLD.night(22), model=MODEL)
    assert len(select(lake, "ops.model_versions", "status")) == 2, "demoted once"


def test_a_champion_that_is_better_goes_on(lake):
    version = nights_of(lake, 0.6, 22)
    assert serves(lake, 22) == version
    assert champion.judge(lake.spark, lake.catalog, MODEL).passed


def test_a_champion_serves_until_it_is_too_old(lake):
    version = registered(lake, 0)
    assert serves(lake, MODEL.gate.champion_days) == version
    assert serves(lake, MODEL.gate.champion_days + 1) is None


def test_the_version_before_a_demoted_one_does_not_come_back(lake):
    registered(lake, 0, model_version="older")
    registered(lake, 1, model_version="newer")
    found = serving.serving(lake.catalog, MODEL, WORLD.day(5))
    model_store.demote(lake.catalog, found, WORLD.day(5), "no longer better")
    assert serves(lake, 6) is None
    registered(lake, 7, model_version="newest")
    assert serves(lake, 8) == "newest"


def test_training_without_history_ends_with_a_sentence_that_says_what_serves(lake, monkeypatch, capsys):
    returned = train.train(lake.settings, WORLD.night(5), model=MODEL)
    reason = f"no test has two results in the 120 days until the end of {WORLD.day(5)}"
    assert returned == {"model_version": None, "is_promoted": False, "reason": reason}
    assert f"not trained: {reason}; the baseline serves" in capsys.readouterr().err
    version = registered(lake, 0)

    def refused(catalog, found):
        raise serving.ScoringError(f"{version} cannot be used")

    for load_model, serves in (
        (lambda catalog, found: object(), f"{version} serves"),
        (lambda catalog, found: None, "the baseline serves"),
        (refused, f"nothing can serve: {version} cannot be used"),
    ):
        monkeypatch.setattr(train, "load_model", load_model)
        train.train(lake.settings, WORLD.night(5), model=MODEL)
        assert f"not trained: {reason}; {serves}" in capsys.readouterr().err
