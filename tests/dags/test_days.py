"""How the day travels: keys, ranges, and what a run without one does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def stored(bag):
    from airflow.serialization.serialized_objects import DagSerialization

    return {
        dag_id: DagSerialization.from_dict(DagSerialization.to_dict(dag)) for dag_id, dag in bag.dags.items()
    }


@pytest.fixture(scope="module")
def timetables(stored):
    return {dag_id: dag.timetable for dag_id, dag in stored.items()}


def keys(timetable, first, last):
    infos = timetable.iter_partition_dagrun_infos(earliest=first, latest=last)
    return [info.partition_key for info in infos]


def test_a_range_gives_each_day_once(timetables):
    first, last = datetime(2026, 1, 30, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC)
    wanted = ["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"]
    assert keys(timetables["land_testgrid"], first, last) == wanted


def test_training_has_one_day_per_week(timetables):
    first, last = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 16, 23, 59, tzinfo=UTC)
    assert keys(timetables["train_test_failure"], first, last) == ["2026-03-02", "2026-03-09", "2026-03-16"]


@pytest.mark.parametrize("hour", [3, 5])
def test_upkeep_is_for_the_day_before(timetables, monkeypatch, hour):
    from airflow.timetables import trigger
    from airflow.timetables.base import TimeRestriction

    monkeypatch.setattr(trigger, "utcnow", lambda: datetime(2026, 3, 4, hour, tzinfo=UTC))
    info = timetables["maintain_lake"].next_dagrun_info_v2(
        last_dagrun_info=None, restriction=TimeRestriction(earliest=None, latest=None, catchup=False)
    )
    coming = 4 if hour < 4 else 5
    assert info.run_after == datetime(2026, 3, coming, 4, tzinfo=UTC)
    assert info.partition_key == f"2026-03-0{coming - 1}"


@pytest.mark.parametrize("hour", [1, 12, 23])
def test_the_first_run_is_the_coming_midnight_for_the_day_before(timetables, monkeypatch, hour):
    from airflow.timetables import trigger
    from airflow.timetables.base import TimeRestriction

    monkeypatch.setattr(trigger, "utcnow", lambda: datetime(2026, 3, 4, hour, tzinfo=UTC))
    info = timetables["land_testgrid"].next_dagrun_info_v2(
        last_dagrun_info=None, restriction=TimeRestriction(earliest=None, latest=None, catchup=False)
    )
    assert info.run_after == datetime(2026, 3, 5, tzinfo=UTC)
    assert info.partition_key == "2026-03-04"


@pytest.mark.parametrize("hour", [7, 12])
def test_training_waits_for_the_coming_monday(timetables, monkeypatch, hour):
    from airflow.timetables import trigger
    from airflow.timetables.base import TimeRestriction

    monkeypatch.setattr(trigger, "utcnow", lambda: datetime(2026, 3, 2, hour, tzinfo=UTC))
    info = timetables["train_test_failure"].next_dagrun_info_v2(
        last_dagrun_info=None, restriction=TimeRestriction(earliest=None, latest=None, catchup=False)
    )
    assert info.run_after == datetime(2026, 3, 9, 6, tzinfo=UTC)


@pytest.mark.parametrize("key", ["2026-3-1x", "yesterday", "2026-02-30"])
def test_a_malformed_key_is_refused(timetables, key):
    with pytest.raises(ValueError, match="key"):
        timetables["land_testgrid"].resolve_partition_date(key)


def test_what_follows_takes_the_same_key(timetables):
    from airflow.partition_mappers.identity import IdentityMapper

    for dag_id in ("build_core_ci", "build_kpi_ci_health", "score_test_failure", "measure_test_failure"):
        assert isinstance(timetables[dag_id].default_partition_mapper, IdentityMapper)
        assert timetables[dag_id].default_partition_mapper.to_downstream("2026-03-01") == "2026-03-01"


def test_every_dag_takes_a_day_with_type_and_help(stored):
    for dag_id, dag in stored.items():
        param = dag.params.get_param("day")
        assert param.value is None, dag_id
        assert param.schema["format"] == "date"
        assert "partition key" in param.schema["description_md"]


@pytest.mark.parametrize("day", ["2026-03-01", None])
def test_a_day_is_taken(stored, day):
    for dag in stored.values():
        dag.params.deep_merge({"day": day}).validate()


@pytest.mark.parametrize(
    "day", ["yesterday", "2026-3-1", "2026-02-30", "20260301", "", 20260301, ["2026-03-01"]]
)
def test_what_is_no_day_is_refused(stored, day):
    from airflow.exceptions import ParamValidationError

    for dag in stored.values():
        with pytest.raises(ParamValidationError):
            dag.params.deep_merge({"day": day}).validate()
