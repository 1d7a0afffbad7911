"""Inputs are the rows of the requested days, as they are pinned, wherever they are read."""

from datetime import date, timedelta

import pytest
from tests.support.builders import make_row
from tests.support.lake_session import local_lake

from cilake.build import inputs
from cilake.build.inputs import open_inputs
from cilake.contracts.core.ci_jobs import TABLE as CI_JOBS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.lake.snapshots import Pins, pin
from cilake.transforms.engines import DuckEngine, SparkEngine

pytestmark = pytest.mark.spark

DAY = date(2021, 6, 21)
LIMITS = {DuckEngine: 5, SparkEngine: 4}
"""How many rows are few where five lie in the files that are read."""


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    """Runs of five days, one a day; a job."""
    with (
        pytest.MonkeyPatch.context() as patch,
        local_lake(spark, tmp_path_factory.mktemp("lake"), patch) as opened,
    ):
        opened.insert(CI_RUNS.address, [run(day) for day in range(5)])
        opened.insert(CI_JOBS.address, [make_row(CI_JOBS)])
        yield opened


def run(day, **columns):
    started = DAY + timedelta(days=day)
    return make_row(CI_RUNS, run_key=day, run_date=started, started_at=f"{started}T05:00:00Z", **columns)


@pytest.fixture(params=LIMITS, ids=lambda engine: engine.__name__)
def engine(request, monkeypatch):
    """The kind of engine that the number of rows leads to."""
    monkeypatch.setattr(inputs, "QUERIED_ROWS", LIMITS[request.param])
    return request.param


def read(lake, days, engine, pins=None):
    """Return the keys of the runs of some days; ``None``: of all."""
    chosen = None if days is None else [DAY + timedelta(days=day) for day in days]
    pins = pins or Pins({})
    opened, given = open_inputs(lake.spark, lake.catalog, pins, {"ci_runs": (CI_RUNS, chosen)})
    assert isinstance(opened, engine)
    found = opened.to_arrow(opened.sql("SELECT run_key FROM ci_runs", **given))
    return sorted(found["run_key"].to_pylist())


def test_rows_are_those_of_the_days(lake, engine):
    assert read(lake, range(5), engine) == [0, 1, 2, 3, 4]
    assert read(lake, None, engine) == [0, 1, 2, 3, 4]


def test_days_with_gaps_and_no_days_at_all(lake, monkeypatch):
    for kind, limit in ((DuckEngine, 5), (SparkEngine, -1)):
        monkeypatch.setattr(inputs, "QUERIED_ROWS", limit)
        assert read(lake, [0, 1, 3, 99], kind) == [0, 1, 3]
        assert read(lake, [], kind) == []


def test_a_pinned_table_is_read_as_it_was(lake, engine):
    pins = pin(lake.catalog, CI_RUNS)
    lake.insert(CI_RUNS.address, [run(5)])
    try:
        assert read(lake, None, engine, pins) == [0, 1, 2, 3, 4]
        assert read(lake, None, SparkEngine) == [0, 1, 2, 3, 4, 5], "too many by now"
    finally:
        lake.catalog.load_table(CI_RUNS.address).delete("run_key = 5")


def test_all_inputs_together_are_few_or_none_is_read_here(lake, monkeypatch):
    wanted = {"ci_runs": (CI_RUNS, None), "ci_jobs": (CI_JOBS, [DAY])}
    for limit, kind in ((6, DuckEngine), (5, SparkEngine)):
        monkeypatch.setattr(inputs, "QUERIED_ROWS", limit)
        opened, given = open_inputs(lake.spark, lake.catalog, Pins({}), wanted)
        assert isinstance(opened, kind)
        joined = opened.sql("SELECT count(*) AS n FROM ci_runs CROSS JOIN ci_jobs", **given)
        counted = opened.to_arrow(joined)["n"].to_pylist()
        assert counted == [5], "a table whose rows have no day is there whole"


def test_rows_that_other_files_delete_are_not_read(lake, monkeypatch):
    """Files of deleted rows come from other writers: Spark knows how to read the files next to them."""
    monkeypatch.setattr(inputs, "QUERIED_ROWS", 100)
    spark, name = lake.spark, CI_RUNS.identifier
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')")
    lake.insert(CI_RUNS.address, [run(40), run(40) | {"run_key": 41}])
    assert read(lake, [40], DuckEngine) == [40, 41]
    spark.sql(f"DELETE FROM {name} WHERE run_key = 41")
    assert read(lake, [40], SparkEngine) == [40]
    assert read(lake, [0], DuckEngine) == [0]
