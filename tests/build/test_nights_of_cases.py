"""Situations of ``testgrid-cases`` that last several nights, landed and built night by night in one lake."""

from datetime import date, timedelta

import orjson
import pytest
from tests.support.lake_session import local_lake
from tests.support.testgrid_cases import CASES, load, serve

from cilake.build import core
from cilake.build.tables import build_tables
from cilake.commands import land
from cilake.sources.registry import source
from cilake.sources.testgrid.settings import TestGridSettings as OwnSettings
from cilake.windows import Window

pytestmark = [
    pytest.mark.spark,
    pytest.mark.data,
    pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are absent"),
]
PLAYED = (3, 5, 6, 12, 18, 19)
BUILT_BY_THE_NEXT = {date(2026, 10, 8)}
"""A night that was landed and not built: the next build takes it along."""

ONCE = ("raw.testgrid__tables", "raw.testgrid__summaries", "ops.quarantine", "core.ci_run_observations")


def replies_by_day():
    """The replies of all cases for each day, every case with its own board and jobs."""
    days = {}
    for number in PLAYED:
        for night in load(number)["nights"]:
            own = orjson.dumps(night["replies"]).replace(b"ci-example-", b"ci-%d-" % number)
            replies = days.setdefault(date.fromisoformat(night["day"]), {})
            for path, reply in orjson.loads(own).items():
                replies[path.replace("/example/", f"/case-{number}/")] = reply
    return dict(sorted(days.items()))


class Played:
    """A lake after the nights, and what it held after each of them."""

    def __init__(self, lake):
        self.lake = lake
        self.after = {}

    def land(self, day, replies):
        """Land a day."""
        boards = sorted({path.split("/")[1] for path in replies})
        window = Window(day, day + timedelta(days=1))
        with serve(replies, f"{day}T23:30:00Z") as url:
            own = OwnSettings(url, ",".join(boards))
            land.land(self.lake.settings, window, source=source("testgrid"), own=own)

    def build(self, day):
        """Build what is landed."""
        core.build_core(self.lake.settings, Window(day, day + timedelta(days=1)))

    def repeat(self, day, replies, times):
        """Play a night again; remember what is stored once, before and after."""
        self.once_before = self.once()
        for _ in range(times):
            self.land(day, replies)
        self.build(day)
        self.once_after = self.once()

    def once(self):
        """The rows of the tables to which a repeat adds nothing."""
        return {address: sorted(map(repr, self.table(address).collect())) for address in ONCE}

    def runs(self):
        """The runs by the case and kind of their job (``3-weekly``) and by their build."""
        jobs = {row.job_key: row.job_name for row in self.table("core.ci_jobs").collect()}
        rows = self.table("core.ci_runs").collect()
        found = {(jobs[row.job_key].removeprefix("ci-"), row.build_id): row.asDict() for row in rows}
        assert len(found) == len(rows), "a run is there once"
        return found

    def table(self, address):
        return self.lake.spark.table(f"lake.{address}")

    def statuses(self, run):
        names = {row.test_key: row.test_name for row in self.table("core.tests").collect()}
        rows = self.table("core.test_results").where(f"run_key = {run['run_key']}").collect()
        return sorted((names[row.test_key], row.test_status) for row in rows)


@pytest.fixture(scope="module")
def played(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    with pytest.MonkeyPatch.context() as monkeypatch, local_lake(spark, folder, monkeypatch) as lake:
        found = Played(lake)
        for day, replies in replies_by_day().items():
            found.land(day, replies)
            if day not in BUILT_BY_THE_NEXT:
                found.build(day)
                found.after[day] = found.runs()
        build_tables(lake.settings, Window(day, day + timedelta(days=1)), step="build_kpi_ci_health")
        repeated = date(2026, 10, 5)
        found.repeat(repeated, replies_by_day()[repeated], load(18)["repeat"])
        yield found


def day(number):
    return date(2026, 10, number)


def test_03_a_build_without_a_start_is_one_run_on_its_own_day(played):
    late = ("3-weekly", "2106900000000000009")
    assert late not in played.after[day(5)], "it has no start yet"
    run = played.after[day(6)][late]
    assert (run["run_date"], run["result"]) == (day(5), "passed")
    assert played.runs()[late] == run, "the night that shows it unchanged does not touch it"
    assert len([build for job, build in played.runs() if job == "3-weekly"]) == 3


def test_05_results_of_a_run_that_is_cut_later_stay(played):
    run = played.runs()["5-big", "2106700000000000001"]
    assert run == played.after[day(4)]["5-big", "2106700000000000001"]
    assert played.statuses(run) == [
        ("ci-5-big.Overall", "failed"),
        ("suite.breaks", "failed"),
        ("suite.works", "passed"),
    ]


def test_06_a_tab_whose_stale_rows_cannot_be_had_is_there_without_them(played):
    assert ("6-unit", "2106900000000000001") in played.after[day(5)]
    receipts = played.table("ops.receipts").where("scope = 'case-6'").collect()
    assert {(row.missing_count, row.rejected_count) for row in receipts} == {(0, 0)}
    assert {row.partition_date for row in receipts} == {day(5), day(6)}, "and both nights have one"


def test_12_a_skipped_test_is_in_no_ratio_and_ends_no_stretch(played):
    rows = played.table("kpi.weekly_test_health").where("job_name = 'ci-12-e2e'").collect()
    by_test = {row.test_name: row for row in rows}
    assert set(by_test) == {"suite.fails-then-skipped"}, "what never ran has no health"
    health = by_test["suite.fails-then-skipped"]
    assert (health.passed_count, health.failed_count, health.result_count) == (0, 2, 2)
    assert (health.fixed_count, health.is_failing) == (0, True)
    days = played.table("kpi.daily_job_health").where("job_name = 'ci-12-e2e'").orderBy("run_date").collect()
    assert [row.pass_ratio for row in days] == [0.0, 0.0, None, None]


def test_19_a_moved_bucket_makes_no_second_run(played):
    moved = ("19-e2e", "2106800000000000001")
    before, after = played.after[day(4)][moved], played.runs()[moved]
    assert "example-jenkins" in before["run_url"] and "example-ci-logs" in after["run_url"]
    assert (before["run_key"], before["job_key"]) == (after["run_key"], after["job_key"])
    assert len([build for job, build in played.runs() if job == "19-e2e"]) == 2


def test_18_repeated_nothing_is_stored_or_counted_twice(played):
    """A night came again: as a retry, and as the day of an overlapping window."""
    assert any("case-18/odd" in row for row in played.once_before["ops.quarantine"])
    assert played.once_after == played.once_before
    ordinary = [run for (job, _), run in played.runs().items() if job == "e2e-aws-4.8"]
    assert len(ordinary) == 1, "31 tabs show it"
