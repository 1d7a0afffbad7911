"""A night that is scored: when it abstains, and when it is refused."""

from datetime import timedelta

import pytest
from tests.support import built_lake
from tests.support.builders import make_row
from tests.support.predicted_world import World, select

from cilake.build import core
from cilake.build.half_published import mark_build
from cilake.build.tables import build_tables
from cilake.commands import score, train
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.ops.fetches import TABLE as FETCHES
from cilake.contracts.ops.receipts import TABLE as RECEIPTS
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.errors import CilakeError
from cilake.models.test_failure.spec import MODEL
from cilake.windows import DayError, Window

pytestmark = pytest.mark.spark

WORLD = World()


def test_a_job_whose_runs_stopped_coming_makes_scoring_abstain(lake):
    """Runs of job 0 are missing since three nights; the others are there, and job 2 is new."""
    WORLD.land(lake, range(20), only_jobs=range(2))
    WORLD.land(lake, range(20, 23), only_jobs=range(1, 2))
    WORLD.land(lake, range(22, 23), only_jobs=range(2, 3))
    score.score(lake.settings, WORLD.night(22), model=MODEL)
    reasons = set(select(lake, PREDICTIONS.address, "job_key", "abstain_reason"))
    assert reasons == {(0, "stale_input"), (1, None), (2, "unseen_job")}


def test_two_that_score_a_day_at_once_predict_it_once(lake, monkeypatch):
    """The second has looked into the ledger when the first publishes."""
    WORLD.land(lake, range(20))
    read_history = score.read_history

    def score_meanwhile(*args):
        monkeypatch.setattr(score, "read_history", read_history)
        score.score(lake.settings, WORLD.night(19), model=MODEL)
        return read_history(*args)

    monkeypatch.setattr(score, "read_history", score_meanwhile)
    with pytest.raises(CilakeError, match="changed by another run meanwhile; run again"):
        score.score(lake.settings, WORLD.night(19), model=MODEL)
    (count,) = select(lake, PREDICTIONS.address, "count(*)", "count(distinct job_key, test_key)")
    assert count == (WORLD.jobs * WORLD.tests,) * 2


def test_a_job_whose_tabs_were_not_obtained_makes_scoring_abstain_at_once(lake):
    """Each job is shown by the tab of its number, job 1 by another one, too; all have run until tonight."""
    WORLD.land(lake, range(18, 23))
    tabs = [(job, f"d/{job}") for job in range(WORLD.jobs)] + [(1, "d/other")]
    common = {
        "run_date": WORLD.day(22),
        "landed_date": WORLD.day(22),
        "seen_at": f"{WORLD.day(23)}T00:10:00Z",
    }
    shown = [
        make_row(OBSERVATIONS, run_key=index, job_key=job, natural_id=tab, **common)
        for index, (job, tab) in enumerate(tabs)
    ]
    asked = [
        ("d/0", "missing", {}),
        ("d/1", "missing", {}),
        ("d/other", "landed", {}),
        ("d/2", "missing", {}),
        ("d/2", "unchanged", {}),  # the repeated landing obtained it
        ("d/3", "landed", {"is_stale": True}),
        ("d/4", "missing", {"is_backfilled": True}),  # tried for this day when it was long over
        ("d/5", "unlisted", {}),
        ("d/6", "rejected", {}),
        ("d/6", "landed", {"partition_date": WORLD.day(21)}),
        ("d/7", "missing", {"partition_date": WORLD.day(21)}),
    ]
    fetches = [
        make_row(
            FETCHES,
            **{"natural_id": tab, "fetch_status": status, "partition_date": WORLD.day(22)}
            | {"served_at": f"{WORLD.day(23)}T00:10:00Z"}
            | rest,
        )
        for tab, status, rest in asked
    ]
    WORLD.append(lake, OBSERVATIONS, shown)
    WORLD.append(lake, FETCHES, fetches)
    score.score(lake.settings, WORLD.night(22), model=MODEL)
    reasons = set(select(lake, PREDICTIONS.address, "job_key", "abstain_reason"))
    abstained = {0, 3, 5, 6}
    assert reasons == {(job, "stale_input" if job in abstained else None) for job in range(WORLD.jobs)}


def test_a_day_that_was_not_landed_is_refused_and_can_be_scored_later(lake):
    assert set(score.score(lake.settings, WORLD.night(2), model=MODEL).values()) == {0}, "nothing has run yet"
    WORLD.land(lake, range(2))
    message = f"{WORLD.day(2)} has not been landed: the newest landed day is {WORLD.day(1)}; run `cilake land"
    for window in (WORLD.night(2), Window(WORLD.day(1), WORLD.day(3))):
        with pytest.raises(DayError, match=message):
            score.score(lake.settings, window, model=MODEL)
    assert select(lake, PREDICTIONS.address, "count(*)") == [(0,)]
    WORLD.append(lake, RECEIPTS, [make_row(RECEIPTS, partition_date=WORLD.day(2))])
    counts = score.score(lake.settings, WORLD.night(2), model=MODEL)
    assert counts == {PREDICTIONS.address: WORLD.jobs * WORLD.tests}, "a night in which nothing new ran"
    with pytest.raises(DayError, match=f"{WORLD.day(0)} has not been landed: the newest landed day is"):
        score.score(lake.settings, WORLD.night(0), model=MODEL)
    with pytest.raises(DayError, match=f"{WORLD.day(3)} has not been landed: the newest landed day is"):
        train.train(lake.settings, WORLD.night(3), model=MODEL)


def test_a_day_that_was_not_over_when_it_was_landed_is_refused(lake):
    WORLD.land(lake, range(3))
    day, over = WORLD.day(2), WORLD.day(3)
    asked = {"natural_id": "d/0", "fetch_status": "landed", "http_status": 200, "partition_date": day}
    WORLD.append(lake, FETCHES, [make_row(FETCHES, **asked, served_at=f"{day}T18:00:00Z")])
    with pytest.raises(DayError, match=f"{day} was not over when it was landed"):
        score.score(lake.settings, WORLD.night(2), model=MODEL)
    WORLD.append(lake, FETCHES, [make_row(FETCHES, **asked, served_at=f"{over}T00:00:00Z")])
    assert score.score(lake.settings, WORLD.night(2), model=MODEL)[PREDICTIONS.address]


def test_a_day_whose_payloads_are_not_built_is_refused(lake):
    """What they show was known, and the ledger would say for ever that it was not."""
    built_lake.land(lake, built_lake.FINAL, hour=1)
    built_lake.build(lake)
    night = Window(built_lake.DAY, built_lake.DAY + timedelta(days=1))
    built_lake.land(lake, built_lake.FINAL | {"timestamps": [0, 0]}, hour=50, day=night.end)
    assert score.score(lake.settings, night, model=MODEL)[PREDICTIONS.address], "a payload of a later day"
    later = Window(night.end, night.end + timedelta(days=1))
    lake.insert(RECEIPTS.address, [make_row(RECEIPTS, partition_date=night.end)])
    with pytest.raises(
        DayError, match=f"1 payloads of raw.testgrid__tables landed for {night.end} or before"
    ):
        score.score(lake.settings, later, model=MODEL)
    built_lake.build(lake)
    assert score.score(lake.settings, later, model=MODEL)[PREDICTIONS.address]


def test_inputs_of_two_builds_are_not_scored(lake):
    WORLD.land(lake, range(2))
    runs = lake.catalog.load_table(CI_RUNS.address)
    with runs.transaction() as transaction:
        transaction.set_properties(mark_build(lake.catalog, "audit_core_that_was_killed", None))
    with pytest.raises(CilakeError, match="are of different builds: one publishes just now, or was killed"):
        score.score(lake.settings, WORLD.night(1), model=MODEL)
    assert select(lake, PREDICTIONS.address, "test_key") == []


def test_what_follows_an_incomplete_landing_says_so(lake, capsys):
    """Each command of the night, whatever it finds to do."""
    missed = make_row("ops.latest_receipts", partition_date=WORLD.day(1), expected_count=9, missing_count=2)
    lake.insert("ops.latest_receipts", [missed])
    night = WORLD.night(1)
    for work in (
        lambda: core.build_core(lake.settings, night),
        lambda: build_tables(lake.settings, night, step="build_kpi_ci_health"),
        lambda: score.score(lake.settings, night, model=MODEL),
    ):
        capsys.readouterr()
        work()
        expected = f"warning: {WORLD.day(1)} is incomplete: of 9 payloads 2 missing; see ops.fetches"
        assert expected in capsys.readouterr().err
