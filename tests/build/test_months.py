"""Months of a table: made by workers they say the same, and only those that change are replaced."""

from datetime import timedelta

import pytest
from tests.support.built_lake import (
    DAY,
    KilledError,
    build,
    exceed_memory,
    kpi_tables,
    land,
    stop_points,
)
from tests.support.grids import DAY_MS, make_table

from cilake.build import inputs, months, tables
from cilake.build.inputs import QUERIED_ROWS
from cilake.build.tables import build_tables
from cilake.contracts.kpi.weekly_test_health import TABLE as WEEKLY
from cilake.contracts.registry import made_by
from cilake.lake.snapshots import pin
from cilake.publish.months import published_months
from cilake.windows import Window

pytestmark = pytest.mark.spark
KPI = made_by("build_kpi_ci_health")
BROKEN = [1, 12, 12, 12, 1, 12, 1, 1] * 4


def shown(codes=BROKEN):
    """Runs of 64 days, of which two tests fail together."""
    table = make_table({"Overall": codes, "one": codes, "two": codes, "steady": [1] * len(codes)})
    first = max(table["timestamps"]) - len(codes) * DAY_MS
    table["timestamps"] = [first - 2 * index * DAY_MS for index in range(len(codes))]
    return table


def build_answers(lake, monkeypatch, way="months"):
    monkeypatch.setattr(inputs, "QUERIED_ROWS", QUERIED_ROWS if way == "here" else 0)
    monkeypatch.setattr(months, "MONTH_ROWS", 0 if way == "spark" else 1000)
    return build_tables(lake.settings, Window(DAY, DAY + timedelta(days=1)), step="build_kpi_ci_health")


def forget(lake):
    """Have all periods of the KPI tables made again."""
    for table in KPI:
        present = lake.catalog.load_table(table.address)
        marks = [name for name in present.properties if name.startswith("cilake.built")]
        assert marks
        with present.transaction() as transaction:
            transaction.remove_properties(*marks)


def paths(lake):
    """The files of the weekly KPI tables by month."""
    found = published_months(lake.catalog.load_table(WEEKLY.address))
    return {month: [one.file.file_path for one in files] for month, files in found.items()}


def test_all_ways_to_make_months_say_the_same_and_again_they_change_nothing(new_lake, monkeypatch):
    found = []
    for way in ("here", "months", "spark"):
        lake = new_lake()
        land(lake, shown())
        build(lake)
        build_answers(lake, monkeypatch, way)
        found.append(kpi_tables(lake))
        if way == "months":
            before = pin(lake.catalog, *KPI)
            assert len(paths(lake)) == 3 and all(len(files) == 1 for files in paths(lake).values())
            forget(lake)
            assert set(build_answers(lake, monkeypatch).values()) == {0}
            assert pin(lake.catalog, *KPI) == before
    assert all(found[0].values()) and found[1] == found[2] == found[0]


def test_a_correction_replaces_the_file_of_its_month_also_after_another_way_and_a_kill(new_lake, monkeypatch):
    """The first tables are made in this process, with files of any name."""
    lake = new_lake()
    stops = stop_points(monkeypatch)
    land(lake, shown())
    build(lake)
    build_answers(lake, monkeypatch, "here")
    forget(lake)
    build_answers(lake, monkeypatch)
    first = paths(lake)
    land(lake, shown([12, *BROKEN[1:]]), hour=1)
    build(lake)
    for stops[:] in ([f"{step}:{WEEKLY.address}"] for step in ("write", "audit", "publish")):
        with pytest.raises(KilledError):
            build_answers(lake, monkeypatch)
    stops.clear()
    build_answers(lake, monkeypatch)
    second = paths(lake)
    changed = [month for month in first if first[month] != second[month]]
    assert changed == [max(first)] and first.keys() == second.keys()
    right = new_lake()
    land(right, shown([12, *BROKEN[1:]]), hour=1)
    build(right)
    build_answers(right, monkeypatch, "here")
    assert kpi_tables(lake) == kpi_tables(right)


def test_a_month_that_comes_out_as_it_once_was_is_one_file_again(lake, monkeypatch):
    """Between, a small build put a second file next to it, and a foreign writer deleted some of its rows."""
    land(lake, shown())
    build(lake)
    build_answers(lake, monkeypatch)
    right = kpi_tables(lake)
    table = make_table({"Overall": [12], "one": [12]}, job="other")
    table["timestamps"] = [min(shown()["timestamps"]) - 7 * DAY_MS]
    land(lake, table, hour=1, tab="board/other")
    build(lake)
    build_answers(lake, monkeypatch, "here")
    assert max(map(len, paths(lake).values())) == 2
    land(lake, table | {"timestamps": [table["timestamps"][0] - 364 * DAY_MS]}, hour=2, tab="board/other")
    build(lake)
    build_answers(lake, monkeypatch)
    found = kpi_tables(lake)
    assert {name: [row for row in rows if row in right[name]] for name, rows in found.items()} == right
    assert all(len(files) == 1 for files in paths(lake).values())
    lake.spark.sql(
        f"ALTER TABLE {WEEKLY.identifier} SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')"
    )
    lake.spark.sql(f"DELETE FROM {WEEKLY.identifier} WHERE job_key > 0 OR job_key < 0 AND failed_count > 0")
    assert kpi_tables(lake) != found
    forget(lake)
    build_answers(lake, monkeypatch)
    assert kpi_tables(lake) == found


def test_a_month_that_is_empty_by_now_has_no_file(lake, monkeypatch):
    """The start of all runs is corrected by a year."""
    land(lake, shown())
    build(lake)
    build_answers(lake, monkeypatch)
    before = paths(lake)
    moved = shown()
    moved["timestamps"] = [at - 364 * DAY_MS for at in moved["timestamps"]]
    land(lake, moved, hour=1)
    build(lake)
    build_answers(lake, monkeypatch)
    assert sorted(month - 12 for month in before) == sorted(paths(lake))


def test_a_month_that_exceeds_the_memory_of_a_worker_is_made_in_spark(lake, monkeypatch, caplog):
    land(lake, shown())
    build(lake)
    with monkeypatch.context() as short:
        short.setattr(tables, "make_months", exceed_memory)
        build_answers(lake, monkeypatch)
    assert f"{WEEKLY.address}: too many rows; making it in Spark" in caplog.text
    assert all(kpi_tables(lake).values())
