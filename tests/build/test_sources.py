"""Payloads of two sources in one build: each is read by its own decoder, and neither touches the other."""

import hashlib
from datetime import UTC, datetime

import pytest
from tests.sources.example_ci.test_conformance import build, listing
from tests.support import built_lake
from tests.support.builders import make_row
from tests.support.built_lake import DAY, core_tables, land
from tests.support.grids import make_table

from cilake.build import core_changes
from cilake.contracts.ci_instances import PROW
from cilake.contracts.raw.example_ci__builds import TABLE as BUILDS
from cilake.sources.example_ci import parse

pytestmark = pytest.mark.spark


def land_builds(lake, *builds, hour=0):
    body = listing(*builds)
    served = datetime(DAY.year, DAY.month, DAY.day, hour, tzinfo=UTC)
    digest = hashlib.sha256(body).hexdigest()
    given = {"natural_id": "compiler", "payload": body, "partition_date": DAY.isoformat()}
    facts = {"served_at": served, "fetched_at": served, "content_sha256": digest, "payload_sha256": digest}
    lake.insert(BUILDS.address, [make_row(BUILDS, **given) | facts])


def test_both_are_built_and_a_correction_of_one_leaves_the_other_as_it_was(lake):
    land(lake, make_table({"Overall": [1], "adds up": [1]}))
    land_builds(lake, build(0), build(1, "failed"))
    counts = built_lake.build(lake)
    assert (counts["core.ci_jobs"], counts["core.ci_runs"]) == (2, 3)
    assert {row for row in lake.rows("core.ci_jobs", "ci_system", "ci_instance")} == {
        ("prow", "prow"),
        ("example_ci", "example_ci"),
    }
    shown = lake.rows("core.ci_run_observations", "source", "natural_id")
    assert shown == [("example_ci", "compiler")] * 2 + [("testgrid", "board/tab")]
    names = [row[0] for row in lake.rows("core.tests", "test_name")]
    assert names == ["Overall", "adds up", "other"], "one name is one test, whoever shows it"
    before = core_tables(lake)
    land_builds(lake, build(0), build(1), hour=3)
    counts = built_lake.build(lake)
    assert (counts["core.ci_runs"], counts["core.test_results"]) == (1, 2)
    after = core_tables(lake)
    assert len(set(after["ci_runs"]) - set(before["ci_runs"])) == 1
    assert set(built_lake.build(lake).values()) == {0}


def test_a_payload_of_one_that_cannot_be_read_stops_nothing(lake):
    land(lake, make_table({"Overall": [1], "adds up": [1]}))
    land_builds(lake, build(0), build(1, started_at="soon"))
    counts = built_lake.build(lake)
    assert counts["core.ci_runs"] == 2
    (reason,) = lake.rows("ops.quarantine", "source", "reason")
    assert reason[0] == "example_ci" and reason[1].startswith("malformed_build: ")


@pytest.mark.parametrize("believed", ["testgrid", "example_ci"])
def test_of_two_that_disagree_about_a_run_the_one_with_precedence_is_believed(lake, monkeypatch, believed):
    """Whichever came first, and also when the other one shows something newer, or more."""
    monkeypatch.setattr(parse, "CI_INSTANCE", PROW)
    monkeypatch.setattr(core_changes, "precedence", lambda: {"testgrid": 0, "example_ci": 0, believed: 1})
    started = datetime(2021, 6, 22, 12, tzinfo=UTC)
    grid = {"job": "unit", "changelists": ["17"], "timestamps": [int(started.timestamp()) * 1000]}
    for hour in (1, 3):
        land(lake, make_table({"Overall": [1], f"at {hour}": [1]}, **grid), hour=hour)
        shown = [{"name": f"at {hour}", "status": "failed"}]
        land_builds(lake, build(17, "failed", started_at=started.isoformat(), tests=shown), hour=hour + 1)
        built_lake.build(lake)
    assert len(lake.rows("core.ci_run_observations", "run_key")) == 4
    assert lake.rows("core.ci_runs", "failed_count") == [(int(believed == "example_ci"),)]
    assert len(lake.rows("core.test_results", "test_key")) == {"testgrid": 2, "example_ci": 1}[believed]
