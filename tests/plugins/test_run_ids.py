"""The list of runs shows their ids: those of a day name it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.airflow

DAY = "2026-03-01"
NOW = datetime(2026, 11, 25, 13, 30, 5, 256403, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def loaded():
    import airflow.models.dagrun  # noqa: F401  (the scheduler and the API server have it before their plugins)
    from airflow import plugins_manager
    from tests.support.airflow_session import migrated

    migrated()
    plugins_manager._get_plugins.cache_clear()
    assert "cilake" in {plugin.name for plugin in plugins_manager._get_plugins()[0]}


def made(run_id, partition_key):
    from airflow.models.dagrun import DagRun

    return DagRun(
        dag_id="build_core_ci", run_id=run_id, run_type="manual", partition_key=partition_key
    ).run_id


@pytest.mark.parametrize("kind", ["ASSET_TRIGGERED", "MANUAL"])
def test_a_run_by_an_asset_or_a_person_names_its_day(kind):
    from airflow.models.dagrun import DagRun
    from airflow.utils.types import DagRunType

    run_type = DagRunType[kind]
    for given in (
        DagRun.generate_run_id(run_type=run_type, logical_date=None, run_after=NOW),
        DagRun.generate_run_id(run_type=run_type, logical_date=NOW, run_after=NOW),  # as the API makes them
    ):
        run_id = made(given, DAY)
        assert run_id == given.replace("__", f"__{DAY}__", 1)
        assert DagRunType.from_run_id(run_id) is run_type


@pytest.mark.parametrize("kind", ["SCHEDULED", "BACKFILL_JOB", "MANUAL"])
def test_a_run_by_the_clock_names_its_day_once(kind):
    from airflow.timetables.trigger import CronPartitionTimetable
    from airflow.utils.types import DagRunType

    timetable = CronPartitionTimetable("0 0 * * *", timezone="UTC")
    key = {"partition_key": DAY} if kind != "MANUAL" else {}
    given = timetable.generate_run_id(run_type=DagRunType[kind], run_after=NOW, data_interval=None, **key)
    run_id = made(given, DAY)
    assert run_id.startswith(f"{DagRunType[kind]}__{DAY}__2026-11-25T13:30:05")
    assert run_id.count(DAY) == 1
    assert run_id.endswith(given[-10:])


@pytest.mark.parametrize(
    ("run_id", "key"),
    [
        ("nights__2026-03-01__17", DAY),
        ("my_run", DAY),
        ("manual__2026-11-25T13:30:05+00:00", DAY),
        ("scheduled__2026-11-25T00:00:00+00:00__2026-11-24__abcdEFGH", DAY),
        ("asset_triggered__2026-11-25T13:30:05+00:00_abcdEFGH", None),
        ("asset_triggered__2026-11-25T13:30:05+00:00_abcdEFGH", "eu/west"),
    ],
)
def test_what_is_not_ours_is_left_alone(run_id, key):
    assert made(run_id, key) == run_id


def test_a_task_does_not_load_the_model_of_a_run(monkeypatch):
    import sys

    from cilake_airflow import run_ids

    monkeypatch.delitem(sys.modules, run_ids.RUNS)
    run_ids.show_days_in_run_ids()
    assert run_ids.RUNS not in sys.modules
