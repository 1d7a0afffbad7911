"""Situations that people met with TestGrid (``testgrid-cases``), each with its right value.

What a case expects of several nights is here as far as the payloads decide it; they are landed and built in
``tests/build/test_nights_of_cases.py``.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date, datetime

import pytest
from tests.support.testgrid_cases import CASES, load, serve

from cilake.contracts.ci_instances import PROW
from cilake.errors import SourceError
from cilake.landing.budget import ByteBudget
from cilake.landing.readers import Readers
from cilake.settings import read_into
from cilake.sources.errors import UnreadableError
from cilake.sources.http import Client
from cilake.sources.testgrid import collect as collecting
from cilake.sources.testgrid import dashboards as listing
from cilake.sources.testgrid import parse
from cilake.sources.testgrid.settings import TestGridSettings as OwnSettings
from cilake.transforms.core import ci_jobs

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are absent"),
]


def read(night, tab):
    body = night["replies"][f"/example/table#{tab}"]["body"]
    return parse.read_table(body, served_at=datetime.fromisoformat(night["served"]))


def read_case(number, tab):
    """The decoded table of each night."""
    return [read(night, tab) for night in load(number)["nights"]]


def by_build(decoded):
    return {run["build_id"]: run for run in decoded.runs.to_pylist()}


@pytest.fixture
def collect():
    """The envelopes of a night's replies, by natural id."""
    with ExitStack() as servers:

        def collected(night, dashboards=("example",)):
            url = servers.enter_context(serve(night["replies"], night["served"]))
            client = Client(
                url,
                deadline=time.monotonic() + 60,
                attempts=3,
                limit_bytes=10_000_000,
                wait=lambda seconds: None,
            )
            names, _ = listing.find_dashboards(client, list(dashboards))
            with ThreadPoolExecutor(2) as pool:
                known = {"summary": {}, "table": {}}
                day = date.fromisoformat(night["day"])
                found = list(
                    collecting.extract_dashboards(
                        client,
                        pool,
                        names,
                        known,
                        day=day,
                        prefetch=4,
                        budget=ByteBudget(1),
                        readers=Readers(__name__),
                    )
                )
            client.close()
            return {envelope.natural_id: envelope for envelope in found}

        yield collected


def test_01_several_jobs_in_one_tab_are_refused(collect):
    case = load(1)
    with pytest.raises(UnreadableError, match="several_jobs: the tab shows the builds of ci-build, ci-e2e"):
        read(case["nights"][0], "both")
    envelopes = collect(case["nights"][0])
    assert (envelopes["example"].state, envelopes["example/both"].state) == ("landed", "rejected")


def test_02_the_release_of_an_upgrade_job_is_the_one_under_test():
    expected = load(2)["job_names"]
    rows = {name: ci_jobs.describe(1, name, PROW) for name in expected}
    columns = ("release", "from_release")
    assert {name: {column: row[column] for column in columns} for name, row in rows.items()} == expected


def test_03_a_build_without_a_start_is_no_run_until_it_has_one():
    first, second, third = read_case(3, "weekly")
    late = "2106900000000000009"
    assert set(by_build(first)) == {"2106400000000000005"}
    assert [(reject.build_id, reject.reason.partition(":")[0]) for reject in first.rejects] == [
        (late, "start_not_known")
    ]
    run = by_build(second)[late]
    assert (run["started_at"].isoformat(), run["result_code"]) == ("2026-10-05T06:00:00+00:00", 1)
    assert by_build(third)[late]["content_hash"] == run["content_hash"], "shown again, it is the same content"
    assert not second.rejects and not third.rejects


def test_05_a_run_cut_to_size_has_no_new_content():
    before, after = read_case(5, "big")
    cut = "2106700000000000001"
    assert by_build(before)[cut]["failed_count"] == 1
    assert cut not in by_build(after)
    (reject,) = after.rejects
    assert reject.build_id == cut
    assert reject.reason.endswith("'2400000 byte grid exceeds maximum size of 2000000 bytes'")
    kept = "2106800000000000002"
    assert by_build(after)[kept]["content_hash"] == by_build(before)[kept]["content_hash"]


def test_06_a_tab_whose_stale_rows_fail_is_landed_without_them(collect):
    case = load(6)
    for night in case["nights"]:
        envelopes = collect(night)
        assert {envelope.state for envelope in envelopes.values()} == {"landed"} and len(envelopes) == 21
        unit = envelopes["example/unit"]
        assert unit.reason.startswith("without stale rows: with them the service answers HTTP 500")
        assert unit.etag is None and envelopes["example/ordinary-0"].etag is not None


def test_07_a_table_without_the_columns_of_its_summary_is_stale(collect):
    (decoded,) = read_case(7, "pull-e2e")
    assert (len(decoded.runs), decoded.rejects) == (0, [])
    (night,) = load(7)["nights"]
    envelope = collect(night)["example/pull-e2e"]
    assert (envelope.state, envelope.is_stale) == ("landed", True)
    assert "0 columns, where the summary counts 9 recent ones" in envelope.reason


def test_10_the_first_message_says_what_to_set(collect):
    case = load(10)
    patterns, group = (night["dashboards"].split(",") for night in case["nights"])
    with pytest.raises(
        SourceError, match="name the dashboards without wildcards .CILAKE_TESTGRID_DASHBOARDS="
    ):
        collect(case["nights"][0], patterns)
    assert collect(case["nights"][1], group)["example-group"].reason == "answers HTTP 404"
    assert read_into(OwnSettings, "CILAKE_TESTGRID_", {}).patterns == [], (
        "none is right for everybody: the landing says so"
    )


def test_12_a_skipped_test_did_not_run():
    (decoded,) = read_case(12, "e2e")
    runs = decoded.runs.to_pylist()
    counts = [(r["test_count"], r["passed_count"], r["failed_count"], r["flaky_count"]) for r in runs]
    assert counts == [(2, 0, 0, 0), (2, 0, 0, 0), (2, 0, 1, 0), (2, 0, 1, 0)]


def test_15_tabs_are_asked_for_by_their_exact_names(collect):
    case = load(15)
    (night,) = case["nights"]
    tabs = night["replies"]["/example/summary"]["body"]
    envelopes = collect(night)
    assert {natural_id: envelope.state for natural_id, envelope in envelopes.items()} == {
        "example": "landed",
        **{f"example/{tab}": "landed" for tab in tabs},
    }


def test_16_tables_of_other_projects_are_read_in_full():
    (decoded,) = read_case(16, "bazel")
    newest, oldest = decoded.runs.to_pylist()
    assert (newest["result_code"], oldest["result_code"]) == (12, 1)
    counts = ("test_count", "passed_count", "failed_count", "result_count")
    assert [newest[name] for name in counts] == [1, 0, 1, 3]
    assert [oldest[name] for name in counts] == [2, 2, 0, 4]
    assert not decoded.rejects


def test_18_a_table_that_is_refused_stops_no_other(collect):
    case = load(18)
    for _ in range(case["repeat"]):
        envelopes = collect(case["nights"][0])
        odd = envelopes.pop("example/odd")
        assert (odd.state, odd.reason.partition(":")[0]) == ("rejected", "not_a_table")
        assert {envelope.state for envelope in envelopes.values()} == {"landed"} and len(envelopes) == 13


def test_19_a_moved_bucket_is_a_new_content_of_the_same_run():
    before, after = (by_build(decoded)["2106800000000000001"] for decoded in read_case(19, "e2e"))
    assert (before["run_key"], before["job_key"]) == (after["run_key"], after["job_key"])
    assert (before["test_keys"], before["codes"]) == (after["test_keys"], after["codes"])
    assert "example-jenkins" in before["run_url"] and "example-ci-logs" in after["run_url"]
    assert before["content_hash"] != after["content_hash"]


def test_21_no_verdict_is_invented():
    (decoded,) = read_case(21, "e2e")
    (run,) = decoded.runs.to_pylist()
    assert run["result_code"] == 4
    assert (run["test_count"], run["passed_count"], run["failed_count"], run["running_count"]) == (2, 1, 1, 0)


def test_22_columns_of_one_build_are_refused(collect):
    case = load(22)
    decoded = read(case["nights"][0], "nightly")
    assert len(decoded.runs) == 0
    assert [reject.reason for reject in decoded.rejects] == [
        "repeated_build_id: 2 columns of build '2026-10-05'"
    ] * 2
    envelopes = collect(case["nights"][0])
    assert envelopes["example/nightly"].reason.startswith("2 columns or rows refused: repeated_build_id")
    assert {envelope.state for envelope in envelopes.values()} == {"landed"}


def test_23_rows_without_results_are_no_tests():
    (decoded,) = read_case(23, "unit")
    (run,) = decoded.runs.to_pylist()
    assert run["test_names"] == ["ci-example-unit.Overall", "suite.works"]
    assert (run["test_count"], run["passed_count"], run["failed_count"], run["result_count"]) == (1, 1, 0, 2)


def test_every_case_has_a_test():
    numbers = {int(path.name[:2]) for path in CASES.glob("*.json")}
    assert numbers == {int(name[5:7]) for name in globals() if name[5:7].isdigit()}
