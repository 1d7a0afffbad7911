"""Builds of so many payloads that they go in rounds: each is published by itself, and any may be killed."""

from datetime import timedelta

import pytest
from tests.support.builders import make_row
from tests.support.built_lake import (
    DAY,
    FINAL,
    HALF,
    RUNNING,
    KilledError,
    build,
    build_by,
    core_tables,
    land,
    statuses,
    stop_points,
)
from tests.support.grids import make_table

from cilake.build import rounds, set_aside
from cilake.build.half_published import is_half_published
from cilake.build.rounds import ROUND_BYTES
from cilake.commands import rebuild
from cilake.publish.audit import AuditError
from cilake.windows import Window

pytestmark = pytest.mark.spark


@pytest.fixture(autouse=True)
def none_are_built_here(monkeypatch):
    """What is not built by Spark alone goes in one round."""
    build_by(monkeypatch, "spark")


def test_what_a_round_left_half_published_is_mended_in_whatever_round_it_is_then(new_lake, monkeypatch):
    """Killed in the second of two rounds, or as one; then another tab has news, which are built before."""
    other = make_table({"Overall": [1], "b": [12]}, job="e2e-gcp-4.8", changelists=["2001"])
    landings = [(RUNNING, 0, "board/a"), (other, 0, "board/b"), (FINAL, 5, "board/a")]
    stops = stop_points(monkeypatch)
    found = []
    for first, stopped in ((landings[:0], []), (landings[:2], [HALF, "once"]), (landings[1:2], [HALF])):
        lake = new_lake()
        monkeypatch.setattr(rounds, "ROUND_BYTES", 1 if len(first) > 1 else ROUND_BYTES)
        for table, hour, tab in first:
            land(lake, table, hour=hour, tab=tab)
        stops[:] = stopped
        if first:
            with pytest.raises(KilledError):
                build(lake)
        stops.clear()
        for table, hour, tab in (one for one in landings if one not in first):
            land(lake, table, hour=hour, tab=tab)
        monkeypatch.setattr(rounds, "ROUND_BYTES", 1)
        build(lake)
        assert not is_half_published(lake.catalog)
        found.append(core_tables(lake))
    assert found[1] == found[0]
    assert found[2] == found[0]


def test_the_share_of_refused_payloads_is_that_of_all_rounds(lake, monkeypatch):
    """Tabs of a broken dashboard are neighbours."""
    monkeypatch.setattr(set_aside, "MANY_REFUSED", 2)
    monkeypatch.setattr(rounds, "ROUND_BYTES", 3 * make_row("raw.testgrid__tables")["payload_bytes"])
    for number in range(9):
        land(lake, {} if number < 3 else FINAL, tab=f"board/{number}")
    with pytest.raises(set_aside.FormatError, match="3 of 9 payloads cannot be read"):
        build(lake, max_lost_ratio=0.3)
    build(lake, max_lost_ratio=0.34)
    assert len(lake.rows("core.ci_runs", "run_key")) == 2


def test_payloads_count_as_built_only_when_results_and_runs_belong_together(lake, monkeypatch):
    """A build was killed between the two, results are lost, and the next one's last round changes nothing."""
    land(lake, RUNNING, tab="board/b")
    build(lake)
    land(lake, make_table({"Overall": [1]}, job="e2e-gcp-4.8", changelists=["2001"]), tab="board/a")
    land(lake, RUNNING, tab="board/b", hour=5)
    monkeypatch.setattr(rounds, "ROUND_BYTES", 1)
    stops = stop_points(monkeypatch)
    stops[:] = [HALF]
    with pytest.raises(KilledError):
        build(lake)
    stops.clear()
    lake.catalog.load_table("core.test_results").delete("test_status = 'running'")
    for _ in range(2):
        with pytest.raises(AuditError, match=r"core\.test_results"):
            build(lake)
    rebuild.rebuild(lake.settings, Window(DAY, DAY + timedelta(days=1)), names=["core"], reason="lost rows")
    assert set(build(lake).values()) == {0}
    assert len(statuses(lake)) == 4
    assert not is_half_published(lake.catalog)
