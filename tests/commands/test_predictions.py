"""The chain of the model on a whole lake: train, register, score in Spark, measure, demote."""

from datetime import timedelta

import pytest
from tests.support.builders import make_row
from tests.support.predicted_world import World, lake_of, select

from cilake.build.tables import build_tables
from cilake.commands import maintain, measure, rebuild, recorded, score, train
from cilake.commands.steps import run_step
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.predictions.accuracy import TABLE as ACCURACY
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.contracts.predictions.test_failure_outcomes import TABLE as OUTCOMES
from cilake.contracts.registry import made_by
from cilake.contracts.registry import table as contract
from cilake.lake.changes import note_restated
from cilake.models.test_failure.spec import MODEL
from cilake.publish import replace

pytestmark = pytest.mark.spark

MADE = made_by("measure_test_failure") + made_by("build_kpi_predictions")
HISTORY = 50
WORLD = World()
OTHER = "time_to_merge"


def follow(lake, number):
    """What follows predictions in a night: people see them, and those of before are measured."""
    counts = build_tables(lake.settings, WORLD.night(number), step="build_kpi_predictions")
    return counts | measure.measure(lake.settings, WORLD.night(number), model=MODEL)


@pytest.fixture(scope="module")
def played(spark, tmp_path_factory):
    """A lake after a training, three nights scored and measured, and what each step returned."""
    folder = tmp_path_factory.mktemp("played")
    with pytest.MonkeyPatch.context() as monkeypatch, lake_of(spark, folder, monkeypatch) as lake:
        WORLD.name(lake)
        WORLD.land(lake, range(HISTORY - 9))
        for number in range(HISTORY - 9, HISTORY):  # many small files, as nights leave them
            WORLD.land(lake, range(number, number + 1))
        returned = {"train": train.train(lake.settings, WORLD.night(HISTORY - 1), model=MODEL)}
        for number in range(HISTORY - 1, HISTORY + 2):
            if number >= HISTORY:
                WORLD.land(lake, range(number, number + 1))
            returned["score", number] = score.score(lake.settings, WORLD.night(number), model=MODEL)
            returned["measure", number] = follow(lake, number)
        yield lake, returned


def test_the_model_that_passed_its_gate_makes_the_predictions(played):
    lake, returned = played
    assert returned["train"]["is_promoted"], select(lake, "ops.model_versions", "gate_reasons")
    versions = {row[0] for row in select(lake, PREDICTIONS.address, "model_version")}
    assert versions == {returned["train"]["model_version"]}
    entities = WORLD.jobs * WORLD.tests
    assert returned["score", HISTORY]["predictions.test_failure"] == entities
    assert returned["measure", HISTORY]["predictions.test_failure_outcomes"] == entities, (
        "of the night before"
    )
    measured = dict(
        select(
            lake,
            ACCURACY.address,
            "scorer",
            "sum(log_loss * decision_count)",
            where="true group by scorer",
        )
    )
    assert measured["model"] < measured["shrunken_history"]


def test_what_broke_everywhere_is_likely_to_fail_again_and_says_why(played):
    lake, _ = played
    reasons = select(
        lake, "kpi.likely_failures", "model_name", "top_reasons", where="failure_probability > 0.5"
    )
    assert reasons
    assert {name for name, _ in reasons} == {MODEL.name}
    assert any("in other jobs" in text for _, text in reasons)


def test_accuracy_states_its_age(played):
    lake, _ = played
    rows = select(
        lake,
        ACCURACY.address,
        "prediction_date",
        "outcome_age_days",
        "decided_ratio",
        where="scorer = 'model'",
    )
    newest = WORLD.day(HISTORY + 1)
    assert {(day, age) for day, age, _ in rows} == {
        (newest - timedelta(days=age), age) for age in range(1, 3)
    }
    assert {ratio for *_, ratio in rows} == {1.0}


def test_repeated_it_changes_nothing(played):
    lake, _ = played
    before = {table: lake.catalog.load_table(table.address).current_snapshot() for table in MADE}
    counts = follow(lake, HISTORY + 1)
    assert set(counts.values()) == {0}
    assert before == {table: lake.catalog.load_table(table.address).current_snapshot() for table in MADE}


def test_what_was_read_is_pinned_recorded_and_kept(played):
    lake, _ = played
    manifest = select(lake, "ops.model_versions", "manifest")[0][0]
    day = WORLD.day(HISTORY)
    ledger = select(
        lake,
        PREDICTIONS.address,
        "distinct feature_snapshot_id",
        "runs_snapshot_id",
        where=f"prediction_date = date '{day}'",
    )
    for index, table in enumerate((TEST_RESULTS, CI_RUNS)):
        refs = lake.catalog.load_table(table.address).refs()
        of_night = refs[f"score_test_failure_{day}"]
        assert [row[index] for row in ledger] == [of_night.snapshot_id]
        assert of_night.max_ref_age_ms == 90 * 86_400_000
        of_training = refs[f"train_test_failure_{WORLD.day(HISTORY - 1)}"]
        assert str(of_training.snapshot_id) in manifest
        assert of_training.max_ref_age_ms == 400 * 86_400_000
        as_of = lake.spark.read.option("versionAsOf", of_night.snapshot_id).table(table.identifier)
        assert as_of.agg({"run_date": "max"}).collect()[0][0] == day


def test_upkeep_leaves_what_is_tagged(played):
    lake, _ = played
    day = WORLD.day(HISTORY)
    table = lake.catalog.load_table(CI_RUNS.address)
    tagged = table.refs()[f"score_test_failure_{day}"].snapshot_id
    newest = max(snapshot.timestamp_ms for snapshot in table.snapshots())
    past = maintain._instant(newest) + timedelta(days=1)
    done = maintain.maintain_table(lake.spark, CI_RUNS.identifier, table, expires_at=past, now=past)
    assert done["merged_files"] > 0 and done["removed_snapshots"] > 0
    kept = {snapshot.snapshot_id for snapshot in table.refresh().snapshots()}
    assert tagged in kept
    as_of = lake.spark.read.option("versionAsOf", tagged).table(CI_RUNS.identifier)
    assert as_of.count() == (HISTORY + 1) * WORLD.jobs * 2


# ---- one lake for each of these


def foretell(lake, number, *, version="baseline", **overrides):
    """A night in the ledger for the tests of job 0, without any model."""
    common = {
        "prediction_date": WORLD.day(number),
        "job_key": 0,
        "model_version": version,
        "scored_at": f"{WORLD.day(number + 1)}T00:30:00Z",
    }
    rows = [make_row(PREDICTIONS, test_key=test, **common | overrides) for test in range(WORLD.tests)]
    WORLD.append(lake, PREDICTIONS, rows)


def put(lake, number, failed, **changes):
    run, results = WORLD.run(number, 0, 5, failed=failed, **changes)
    WORLD.append(lake, TEST_RESULTS, results)
    WORLD.append(lake, CI_RUNS, [run])
    return run


def failures(lake):
    found = select(lake, OUTCOMES.address, "test_key", where="has_failed")
    return {row[0] for row in found}


def test_rows_of_another_model_survive(lake):
    day = WORLD.day(0)
    common = {"model_name": OTHER, "prediction_date": day}
    shared = ("kpi.calibration_bins", "kpi.daily_predictions", "kpi.likely_failures")
    for address in (ACCURACY.address, *shared):
        lake.insert(address, [make_row(address, **common)])
    foretell(lake, 0)
    put(lake, 1, {3})
    counts = follow(lake, 1)
    assert counts[OUTCOMES.address] == WORLD.tests
    for address in (ACCURACY.address, *shared):
        names = {row[0] for row in select(lake, address, "model_name")}
        assert names >= {OTHER}, address
        assert MODEL.name in names or address == "kpi.likely_failures"


def test_a_correction_is_followed_however_late(lake):
    foretell(lake, 0)
    put(lake, 1, {3})
    for number in (1, 40):
        measure.measure(lake.settings, WORLD.night(number), model=MODEL)
    assert failures(lake) == {3}
    results = lake.catalog.load_table(TEST_RESULTS.address)
    runs = lake.catalog.load_table(CI_RUNS.address)
    for table in (results, runs):
        table.delete(f"run_date = '{WORLD.day(1)}'")
    put(lake, 1, {3, 5}, landed_date=WORLD.day(41))
    counts = measure.measure(lake.settings, WORLD.night(41), model=MODEL)
    assert failures(lake) == {3, 5}
    assert counts[ACCURACY.address] == 4


def test_a_late_payload_reaches_what_people_read_of_the_newest_decision(lake):
    foretell(lake, 5, failure_probability=0.5)
    put(lake, 1, {3})
    build_tables(lake.settings, WORLD.night(5), step="build_kpi_predictions")
    put(lake, 4, {3})
    build_tables(lake.settings, WORLD.night(5), step="build_kpi_predictions")
    (failed_at,) = select(lake, "kpi.likely_failures", "to_date(last_failed_at)", where="test_key = 3")
    assert failed_at == (WORLD.day(4),)


def replace_results(lake, number, failed, **changes):
    """Give a run the same row again, but for the changes, and other results."""
    (run,) = lake.catalog.load_table(CI_RUNS.address).scan().to_arrow().to_pylist()
    for table in (TEST_RESULTS, CI_RUNS):
        lake.catalog.load_table(table.address).delete(f"run_date = '{WORLD.day(number)}'")
    put(lake, number, failed, content_hash=run["content_hash"], **changes)


def test_what_a_rebuild_reads_otherwise_is_followed(lake):
    """The content that the source showed is the same, and so are its hash and when it was known."""
    foretell(lake, 0)
    put(lake, 1, {3}, decoder_version=1)
    measure.measure(lake.settings, WORLD.night(1), model=MODEL)
    replace_results(lake, 1, {4}, decoder_version=2)
    measure.measure(lake.settings, WORLD.night(2), model=MODEL)
    assert failures(lake) == {4}, "read by another version of the decoder"
    before = lake.catalog.load_table(CI_RUNS.address).current_snapshot().snapshot_id
    note_restated(lake.catalog, CI_RUNS, before, [WORLD.day(1)])
    replace_results(lake, 1, {5}, decoder_version=2)
    measure.measure(lake.settings, WORLD.night(3), model=MODEL)
    assert failures(lake) == {5}, "read by the same version, which the run's row does not show"


def test_a_rebuild_makes_the_tables_about_predictions_again_and_only_those_named(lake):
    foretell(lake, 0)
    put(lake, 1, {3})
    measure.measure(lake.settings, WORLD.night(1), model=MODEL)
    right = {table: sorted(select(lake, table, "*")) for table in (OUTCOMES.address, ACCURACY.address)}
    for address in right:
        lake.spark.sql(f"UPDATE lake.{address} SET model_version = 'wrong'")
    window = WORLD.night(0)
    done = rebuild.rebuild(lake.settings, window, names=[ACCURACY.address], reason="one table")
    assert select(lake, OUTCOMES.address, "distinct model_version") == [("wrong",)], "not named"
    assert done.keys() == {"restatement_id", ACCURACY.address}
    rebuild.rebuild(lake.settings, window, names=["predictions", ACCURACY.address], reason="both")
    assert {table: sorted(select(lake, table, "*")) for table in right} == right
    with pytest.raises(rebuild.UnknownTableError, match="predictions.test_failure cannot be made again"):
        rebuild.rebuild(lake.settings, window, names=["core", PREDICTIONS.address], reason="a ledger")


def test_a_run_that_moved_to_another_day_takes_its_outcome_along(lake):
    foretell(lake, 0)
    foretell(lake, 20)
    put(lake, 21, {3})
    measure.measure(lake.settings, WORLD.night(21), model=MODEL)
    assert {row[0] for row in select(lake, OUTCOMES.address, "prediction_date")} == {WORLD.day(20)}
    for table in (TEST_RESULTS, CI_RUNS):
        lake.catalog.load_table(table.address).delete()
    put(lake, 2, {3})
    measure.measure(lake.settings, WORLD.night(60), model=MODEL)
    assert {row[0] for row in select(lake, OUTCOMES.address, "prediction_date")} == {WORLD.day(0)}


def test_tables_that_are_new_are_made_by_their_step_and_inputs_that_are_missing_are_named(lake):
    for address in (OUTCOMES.address, ACCURACY.address, PREDICTIONS.address):
        lake.catalog.drop_table(address)
    with pytest.raises(recorded.MissingTableError, match=r"predictions\.test_failure.*cilake bootstrap"):
        run_step(lake.settings, WORLD.night(1), "measure", MODEL.name)
    WORLD.land(lake, range(2))
    counts = run_step(lake.settings, WORLD.night(1), "score", MODEL.name)
    assert counts[PREDICTIONS.address] == WORLD.jobs * WORLD.tests
    assert OUTCOMES.address in run_step(lake.settings, WORLD.night(1), "measure", MODEL.name)


def test_accuracy_ages_also_where_no_run_of_the_job_comes_for_long(lake):
    foretell(lake, 0)
    put(lake, 1, {3})
    measure.measure(lake.settings, WORLD.night(1), model=MODEL)
    run, results = WORLD.run(40, 1, 5, failed={3})
    WORLD.append(lake, TEST_RESULTS, results)
    WORLD.append(lake, CI_RUNS, [run])
    measure.measure(lake.settings, WORLD.night(40), model=MODEL)
    assert select(lake, ACCURACY.address, "distinct outcome_age_days") == [(14,)]


def test_outcomes_that_are_gone_go_also_where_nothing_tells_any_more_what_was(lake):
    """The snapshot up to which the tables were made is forgotten, and the runs are no longer there."""
    foretell(lake, 0)
    put(lake, 1, {3})
    put(lake, 30, {1})
    measure.measure(lake.settings, WORLD.night(1), model=MODEL)
    assert failures(lake) == {3}
    for table in (TEST_RESULTS, CI_RUNS):
        lake.catalog.load_table(table.address).delete(f"run_date = '{WORLD.day(1)}'")
        lake.spark.sql(
            f"CALL lake.system.expire_snapshots(table => '{table.address}', "
            "older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1)"
        )
    measure.measure(lake.settings, WORLD.night(31), model=MODEL)
    for address in (OUTCOMES.address, ACCURACY.address, "kpi.calibration_bins"):
        assert select(lake, address, "count(*)") == [(0,)], address


def test_a_rebuild_of_what_models_share_is_one_restatement_and_taken_back_whole(lake, monkeypatch):
    """Two steps publish their rows of the table; the second represents another model."""
    foretell(lake, 0)
    put(lake, 1, {3})
    measure.measure(lake.settings, WORLD.night(1), model=MODEL)
    other = [make_row("kpi.calibration_bins", model_name=OTHER, prediction_date=WORLD.day(0))]
    lake.insert("kpi.calibration_bins", other)
    lake.spark.sql("UPDATE lake.kpi.calibration_bins SET decision_count = 99, failure_count = 0")
    wrong = lake.rows("kpi.calibration_bins")
    works = rebuild._works

    def and_of_the_other_model(catalog, chosen):
        (work,) = works(catalog, chosen)

        def remove(spark, settings, catalog, window, restatement):
            rows = spark.table("lake.kpi.calibration_bins").where("false")
            replace.replace_days(
                spark,
                catalog,
                [
                    replace.Replacement(
                        contract("kpi.calibration_bins"),
                        rows,
                        "prediction_date",
                        [WORLD.day(0)],
                        where=f"model_name = '{OTHER}'",
                    )
                ],
                audit=lambda branch: None,
                run_id="other",
                note=restatement.note,
            )

        return [work, remove]

    monkeypatch.setattr(rebuild, "_works", and_of_the_other_model)
    done = rebuild.rebuild(
        lake.settings, WORLD.night(0), names=["kpi.calibration_bins"], reason="both models"
    )
    changed = done["kpi.calibration_bins"]
    assert changed["removed"] == len(wrong) and changed["added"] == len(wrong) - 1
    rebuild.rollback(lake.settings, done["restatement_id"])
    assert lake.rows("kpi.calibration_bins") == wrong


def test_a_night_without_failures_has_no_average_precision(lake):
    foretell(lake, 0)
    put(lake, 1, set())
    measure.measure(lake.settings, WORLD.night(1), model=MODEL)
    assert {row[0] for row in select(lake, ACCURACY.address, "average_precision")} == {None}
