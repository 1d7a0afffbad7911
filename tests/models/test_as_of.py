"""What a decision may see: whatever came later, a past day is seen as it was known then."""

from datetime import timedelta

import pytest
from tests.support.built_lake import DAY, land
from tests.support.grids import DAY_MS, make_table
from tests.support.lake_session import local_lake

from cilake.build import core
from cilake.contracts.registry import table as contract
from cilake.lake.snapshots import pin
from cilake.models.as_of import read_history
from cilake.models.test_failure.spec import MODEL
from cilake.windows import Window

pytestmark = pytest.mark.spark

AT_NIGHT = 24.5
FIRST = make_table({"Overall": [4, 1, 12], "a": [0, 12, 1], "b": [1, 1, 1]})
NEXT_DAY, LONG_AFTER = DAY + timedelta(days=1), DAY + timedelta(days=9)
TODAY = Window(DAY, NEXT_DAY)


@pytest.fixture
def lake(spark, tmp_path, monkeypatch):
    with local_lake(spark, tmp_path / "lake", monkeypatch) as opened:
        yield opened


def seen(lake, day):
    """Return the results and the runs that a decision of that day sees."""
    pins = pin(lake.catalog, *map(contract, MODEL.inputs))
    history = read_history(lake.spark, lake.catalog, pins, day)
    results = history.engine.to_arrow(history.results)
    return tuple(sorted(tuple(row.values()) for row in rows.to_pylist()) for rows in (results, history.runs))


def test_what_came_later_is_not_seen(lake):
    """Later: results of a run under way, a start a week before, a correction, runs that are new."""
    land(lake, FIRST, hour=AT_NIGHT)
    core.build_core(lake.settings, TODAY)
    before = seen(lake, DAY)
    assert [len(rows) for rows in before] == [5, 3], "results of tests, and runs"

    starts = FIRST["timestamps"]
    finished = make_table({"Overall": [12, 1, 1], "a": [12, 1, 1], "b": [12, 1, 1]})
    moved = finished | {"timestamps": [starts[0] - 7 * DAY_MS, starts[1] + DAY_MS, starts[2]]}
    new = {"job": "e2e-gcp-4.8", "first_build": 5000}
    land(lake, moved, hour=AT_NIGHT, day=NEXT_DAY)
    appeared = make_table({"Overall": [1, 1], "a": [12, 1]}, **new)
    land(lake, appeared, hour=AT_NIGHT, day=NEXT_DAY, tab="board/new")
    backfilled = make_table({"Overall": [1, 1], "a": [1, 12]}, **(new | {"first_build": 7000}))
    hours_since = 24 * (LONG_AFTER - DAY).days
    land(lake, backfilled, tab="board/late", hour=hours_since)  # the past day, from what is shown now
    core.build_core(lake.settings, TODAY)

    assert seen(lake, DAY) == before
    assert seen(lake, NEXT_DAY) != before
    assert len(seen(lake, NEXT_DAY)[1]) == 5, "not what was first shown long after"
    assert len(seen(lake, LONG_AFTER)[1]) == 7
