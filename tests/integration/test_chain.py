"""Land, build, score, measure on the real stack: counts against the source, repeats, kills, a backfill.

The tests go through one story in the order they are written: each night finds what the ones before left.
"""

import signal
from datetime import timedelta

import pytest
from tests.integration.recorded_nights import CHAIN, LATER, LEDGER, NIGHTS, TESTS, end_of, results_until

from cilake.contracts.registry import tables

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]


def test_every_result_is_there_once(played):
    lake, nights = played
    assert lake.statuses() == results_until(end_of(NIGHTS[-1]))
    assert nights[0]["landed"] == 2 + 3, "two summaries and three tabs"
    assert sum(night["core.test_results"] for night in nights) == sum(lake.statuses().values())
    runs = lake.sql("select count(*) as n, count(distinct build_id) as builds from core.ci_runs")[0]
    assert int(runs["n"]) == 2 * int(runs["builds"])


def test_predictions_are_measured_by_the_next_night(played):
    lake, nights = played
    assert nights[0]["predictions.test_failure"] == 2 * (TESTS + 1)
    assert nights[0]["predictions.outcomes"] == 0
    assert nights[1]["predictions.outcomes"] == 2 * (TESTS + 1)
    broken = lake.sql(
        "select failure_probability, shrunken_probability, test_name from predictions.test_failure p "
        "join core.tests using (test_key) where prediction_date = date '2021-06-07' order by 1 desc limit 2"
    )
    assert {row["test_name"] for row in broken} == {"[sig-1] test of everything"}
    scorers = lake.sql("select distinct scorer from predictions.accuracy order by 1")
    assert [row["scorer"] for row in scorers] == ["base_rate", "last_value", "model", "shrunken_history"]


def test_an_earlier_night_again_changes_nothing(played):
    """Also where a run of that night became known a day late: the later night brought it up to date."""
    lake, _ = played
    before = lake.contents()
    snapshots = 'select count(*) as n from core."test_results$snapshots"'
    snapshot_count = lake.sql(snapshots)
    again = lake.play(NIGHTS[0])
    assert {name: again[name] for name in again if name in tables()} == dict.fromkeys(
        (table.address for table in tables().values() if table.namespace in LEDGER[1:]), 0
    )
    assert again["landed"] == 0
    assert lake.contents() == before
    assert lake.sql(snapshots) == snapshot_count


def test_a_day_that_has_not_begun_at_the_source_is_refused(played):
    lake, _ = played
    before = lake.contents()
    landing = lake.start("land", "testgrid", NIGHTS[-1] + timedelta(days=2))
    _, said = landing.communicate(timeout=300)
    assert landing.returncode == 1
    assert "2021-06-09 has not begun: the source's clock says 2021-06-07 00:00 UTC" in said
    assert lake.contents() == before


def test_a_killed_build_leaves_the_tables_and_then_builds_the_same(played):
    lake, _ = played
    before = lake.contents()
    lake.set_clock(LATER[0])
    lake.work("land", "testgrid", LATER[0])
    for line in ("wrote core.test_results", "core.ci_runs: validation"):
        build = lake.start("build", "core", LATER[0])
        seen = next((text for text in build.stderr if line in text), None)
        build.send_signal(signal.SIGKILL)
        build.communicate()
        assert seen, "the build ended before it said so"
        after = [row for row in lake.contents() if not row["address"].startswith("raw")]
        kept = [row for row in before if not row["address"].startswith("raw")]
        if line.startswith("wrote"):
            assert after == kept, "nothing is published before everything is audited"
    lake.work("build", "core", LATER[0])
    assert lake.statuses() == results_until(end_of(LATER[0]))


def test_a_backfill_of_a_range_gives_each_key_once(played):
    lake, _ = played
    lake.set_clock(LATER[1])
    end = LATER[1] + timedelta(days=1)
    for verb, address in CHAIN:
        lake.work(verb, address, LATER[0], end)
    assert lake.statuses() == results_until(end_of(LATER[1]))
    for table in (t for t in tables().values() if t.namespace in LEDGER):
        keys = ", ".join(table.primary_key)
        doubled = lake.sql(
            f"select {keys}, count(*) as n from {table.address} group by {keys} having count(*) > 1"
        )
        assert doubled == [], table.address
    days = lake.sql("select distinct prediction_date from predictions.test_failure order by 1")
    assert [row["prediction_date"] for row in days] == [day.isoformat() for day in NIGHTS + LATER]
