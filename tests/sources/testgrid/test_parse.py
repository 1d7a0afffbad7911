"""Reading TestGrid payloads: the runs they hold, and every way they can be broken."""

import copy
import gzip
import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.support.collisions import colliding_names
from tests.support.grids import DAY_MS, FIRST_MS, make_table

from cilake.sources import keys
from cilake.sources.errors import UnreadableError
from cilake.sources.testgrid import parse

RECORDED = Path(__file__).parents[4] / "shared/data/testgrid-openshift/historical"

ROWS = {"Overall": [1, 12, 1], "a": [0, 12, 1], "b": [13, 0, 4], "never": [0, 0, 0]}


SERVED = datetime(2021, 8, 1, tzinfo=UTC)


def decode(table):
    return parse.read_table(table, served_at=SERVED)


def read(table):
    return decode(table).runs.to_pylist()


def refused(table):
    """The kinds of reasons by build or name, and the builds that are left."""
    decoded = decode(table)
    kinds = {(r.build_id or r.test_name): r.reason.partition(":")[0] for r in decoded.rejects}
    return kinds, decoded.runs.column("build_id").to_pylist()


def test_runs_hold_the_non_empty_cells_of_their_column():
    newest, middle, oldest = read(make_table(ROWS))
    of_name = {name: keys.hash_name(name) for name in ROWS}
    assert dict(zip(middle["test_keys"], middle["codes"], strict=True)) == {
        of_name["Overall"]: 12,
        of_name["a"]: 12,
    }
    assert middle["messages"] == ["boom", "boom"]
    assert (newest["flaky_count"], middle["failed_count"], oldest["running_count"]) == (1, 1, 1)
    assert (middle["test_count"], middle["result_count"]) == (1, 2), "Overall is no test"
    assert [run["result_code"] for run in (newest, middle, oldest)] == [1, 12, 1]
    assert newest["run_url"] == "https://ci.example/view/bucket/logs/e2e-aws-4.8/1003"
    assert newest["test_names"] == ["Overall", "a", "b"], "a row without any result is no test yet"
    assert middle["test_names"] is None


def test_empty_table_has_no_runs():
    assert read(make_table({}, changelists=[], timestamps=[])) == []


def test_a_run_without_results_is_a_run():
    (run,) = read(make_table({"a": [0]}))
    assert run["test_keys"] == [] and run["result_code"] is None


def test_content_hash_sees_statuses_and_messages_but_not_row_order():
    table = make_table(ROWS)
    hashes = [run["content_hash"] for run in read(table)]
    shuffled = copy.deepcopy(table)
    shuffled["tests"].reverse()
    assert [run["content_hash"] for run in read(shuffled)] == hashes
    worded = copy.deepcopy(table)
    worded["tests"][1]["messages"][0] = "bang"
    assert [a == b for a, b in zip((r["content_hash"] for r in read(worded)), hashes, strict=True)] == [
        True,
        False,
        True,
    ]
    finished = make_table(ROWS | {"b": [13, 0, 1]})
    assert [a == b for a, b in zip((r["content_hash"] for r in read(finished)), hashes, strict=True)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tests": None}, "not_a_table"),
        ({"query": None}, "not_a_table"),
        ({"timestamps": [1, 2]}, "builds for 2 columns"),
        ({"changelists": {"1": 1, "2": 2, "3": 3}}, "changelists is no list"),
        ({"query": "logs/one,logs/two"}, "several_jobs: the tab shows the builds of one, two"),
        ({"query": "bucket/logs/ /"}, "no job in"),
        ({"query": "q" * 1001}, "no location of a job's logs"),
        ({"open-test-template": {"url": "<changelist>" * 1000}}, "no template"),
        ({"tests": [{"name": "a", "statuses": [{"count": 2, "value": 1}], "messages": ["", ""]}]}, "cover"),
        ({"tests": [{"name": "a", "statuses": [{"count": -3, "value": 1}], "messages": []}]}, "negative"),
        ({"tests": [{"name": "a", "statuses": [{"count": 4, "value": 0}], "messages": []}]}, "longer than"),
        (
            {"tests": [{"name": "a", "statuses": [{"count": 10**30, "value": 0}], "messages": []}]},
            "not_a_table",
        ),
        ({"tests": [{"name": "a", "statuses": [{"count": 3.0, "value": 0}], "messages": []}]}, "no whole"),
        ({"tests": [{"name": "a", "statuses": [{"count": 3, "value": True}], "messages": []}]}, "no whole"),
        ({"tests": [{"name": "a", "statuses": [{"count": 3, "value": 0}], "messages": {}}]}, "are no list"),
        (
            {"tests": [{"name": "a", "statuses": [{"count": 3, "value": 1}], "messages": []}]},
            "differ in number",
        ),
        ({"tests": [{"statuses": []}]}, "not_a_table"),
        ({"tests": [[]]}, "not_a_table"),
        ({"open-test-template": 7}, "not_a_table"),
    ],
)
def test_broken_tables_are_refused_with_the_reason(change, reason):
    with pytest.raises(UnreadableError, match=reason):
        decode(make_table(ROWS) | change)


def test_tables_of_too_many_columns_are_refused():
    many = 70_000
    with pytest.raises(UnreadableError, match="too_large: 70,000 columns"):
        decode(make_table({}, changelists=["1"] * many, timestamps=[0] * many))


def test_empty_stretches_take_no_memory():
    """As a grid these 60,000 x 3,000 cells would take 1.6 GB for their positions alone."""
    columns = 60_000
    row = {"statuses": [{"count": columns, "value": 0}], "messages": []}
    table = make_table(
        {},
        changelists=[str(build) for build in range(columns)],
        timestamps=[FIRST_MS] * columns,
        tests=[{"name": str(name), **row} for name in range(3000)],
    )
    tracemalloc.start()
    assert len(decode(table).runs) == columns
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000_000


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"changelists": ["3", " ", "1"]}, "blank_build_id"),
        ({"changelists": ["3", "", "1"]}, "blank_build_id"),
        ({"changelists": ["3", 2, "1"]}, "build_id_no_text"),
        ({"changelists": ["3", None, "1"]}, "build_id_no_text"),
        ({"changelists": ["3", "2" * 2000, "1"]}, "address_too_long"),
        ({"timestamps": [FIRST_MS, None, FIRST_MS]}, "no_start"),
        ({"timestamps": [FIRST_MS, "x", FIRST_MS]}, "no_start"),
        ({"timestamps": [FIRST_MS, True, FIRST_MS]}, "no_start"),
        ({"timestamps": [FIRST_MS, FIRST_MS + 0.01, FIRST_MS]}, "start_not_known"),
        ({"timestamps": [FIRST_MS, 0, FIRST_MS]}, "implausible_start"),
        ({"timestamps": [FIRST_MS, -5, FIRST_MS]}, "implausible_start"),
        ({"timestamps": [FIRST_MS, 9 * 10**15, FIRST_MS]}, "implausible_start"),
        ({"timestamps": [FIRST_MS, 9 * 10**17, FIRST_MS]}, "implausible_start"),
        ({"timestamps": [FIRST_MS, FIRST_MS + 90 * DAY_MS, FIRST_MS]}, "implausible_start"),
    ],
)
def test_an_odd_column_is_refused_and_the_others_are_read(change, kind):
    table = make_table(ROWS, first_build=0)
    whole = {run["build_id"]: run for run in read(table | {"timestamps": [FIRST_MS] * 3})}
    decoded = decode(table | {"timestamps": [FIRST_MS] * 3} | change)
    assert [reject.reason.partition(":")[0] for reject in decoded.rejects] == [kind]
    left = {run["build_id"]: run for run in decoded.runs.to_pylist()}
    assert left == {"3": whole["3"], "1": whole["1"]} or left == {
        "3": whole["3"] | {"test_names": left["3"]["test_names"]},
        "1": whole["1"],
    }


def test_columns_of_one_build_are_all_refused():
    table = make_table(ROWS, changelists=["2", "1", "2"])
    assert refused(table) == ({"2": "repeated_build_id"}, ["1"])


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"name": 7}, "test_name_no_text"),
        ({"name": None}, "test_name_no_text"),
        ({"name": ["x"]}, "test_name_no_text"),
        ({"name": " "}, "blank_test_name"),
        ({"name": "a"}, "repeated_test_name"),
        ({"statuses": [{"count": 3, "value": 99}]}, "unknown_status"),
        ({"statuses": [{"count": 3, "value": -1}]}, "unknown_status"),
        ({"statuses": [{"count": 3, "value": 10**15}]}, "unknown_status"),
        ({"messages": ["", 7, ""]}, "message_no_text"),
        ({"messages": ["", {"text": ""}, ""]}, "message_no_text"),
        ({"messages": [None, None, None]}, "message_no_text"),
    ],
)
def test_an_odd_row_is_refused_and_the_others_are_read(row, kind):
    table = make_table({"Overall": [1, 12, 1], "a": [0, 12, 1], "odd": [1, 1, 1]})
    table["tests"][2] |= row
    decoded = decode(table)
    kinds = {reject.reason.partition(":")[0] for reject in decoded.rejects}
    assert kinds == {kind}
    rows = {"Overall": [1, 12, 1], "a": [0, 12, 1]}
    if kind == "repeated_test_name":  # which of them is the test, nobody knows
        del rows["a"]
    assert decoded.runs.to_pylist() == read(make_table(rows))


def test_of_two_names_with_one_key_the_first_by_the_alphabet_is_read():
    one, other = sorted(colliding_names())
    assert keys.hash_name(one) == keys.hash_name(other)
    for names in ((one, other), (other, one)):
        decoded = decode(make_table({name: [12 if name == one else 1] for name in names}))
        assert [(r.test_name, r.reason.partition(":")[0]) for r in decoded.rejects] == [
            (other, "taken_test_key")
        ]
        (run,) = decoded.runs.to_pylist()
        assert (run["codes"], run["test_names"], run["test_count"]) == ([12], [one], 1)


def test_a_column_cut_to_size_is_no_run():
    table = make_table({"e2e-aws-4.8.Overall": [1, 6], "a": [12, 6], "b": [6, 6]})
    for row in table["tests"]:
        row["messages"][-1] = "2400000 byte grid exceeds maximum size of 2000000 bytes"
    assert refused(table) == ({"1001": "cut_to_size"}, ["1002"])
    assert read(table)[0]["result_count"] == 3, "a result that is unknown for another reason stays"


def test_the_verdict_is_the_jobs_own():
    job = "e2e-aws-4.8"
    (run,) = read(make_table({f"{job}.Overall": [12], f"{job}.Pod": [1], "Pod": [1], "a": [1]}))
    assert (run["result_code"], run["test_count"], run["passed_count"], run["result_count"]) == (12, 1, 1, 4)
    newest, oldest = read(make_table({"Overall": [4, 0], f"{job}.Overall": [1, 1]}))
    assert (newest["result_code"], oldest["result_code"]) == (4, 1), "Overall first, where it has a result"
    (run,) = read(make_table({"other-job.Overall": [1], "a": [1]}))
    assert (run["result_code"], run["test_count"]) == (None, 1)


@pytest.mark.parametrize("name", ["[sig-node] x.Pod", "//pkg/a:b.Pod", "suite one.Overall", "Overall health"])
def test_names_that_end_like_a_verdict_are_tests(name):
    (run,) = read(make_table({name: [1]}))
    assert (run["test_count"], run["result_code"]) == (1, None)


def test_a_skipped_test_neither_passed_nor_failed():
    (run,) = read(make_table({"a": [3], "b": [1]}))
    assert (run["test_count"], run["passed_count"], run["failed_count"], run["codes"]) == (2, 1, 0, [3, 1])


def test_content_hash_sees_the_start_and_the_page():
    table = make_table(ROWS)
    hashes = [run["content_hash"] for run in read(table)]
    for change in (
        {"query": "elsewhere/logs/e2e-aws-4.8"},
        {"open-test-template": {}},
        {"timestamps": [start - 1000 for start in table["timestamps"]]},
    ):
        moved = [run["content_hash"] for run in read(table | change)]
        assert not set(moved) & set(hashes)


def test_a_job_of_another_ci_instance_is_another_job_wherever_its_logs_moved():
    buckets = ("origin-ci-test", "test-platform-results", "kubernetes-jenkins", "kubernetes-ci-logs")
    runs = [
        decode(make_table({"a": [1]}) | {"query": f"{bucket}/logs/ci-e2e"}).runs.to_pylist()[0]
        for bucket in buckets
    ]
    openshift, moved, kubernetes, moved_kubernetes = ((run["job_key"], run["run_key"]) for run in runs)
    assert openshift == moved and kubernetes == moved_kubernetes
    assert set(openshift).isdisjoint(kubernetes)
    assert [run["ci_instance"] for run in runs] == ["prow", "prow", "prow:kubernetes", "prow:kubernetes"]


def test_a_bucket_is_the_same_with_and_without_its_scheme():
    table = make_table(ROWS)
    assert read(table | {"query": f"gs://{table['query']}"}) == read(table)


def test_names_differing_in_blanks_or_case_are_different_tests():
    (run,) = read(make_table({"a": [1], " a": [1], "A": [1]}))
    assert len(set(run["test_keys"])) == 3


@pytest.mark.data
@pytest.mark.skipif(not RECORDED.is_dir(), reason="the shared recordings are absent")
def test_recorded_dashboard_equals_an_independent_count():
    folder = next(RECORDED.glob("4.8GA/*blocking"))
    expected: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    for path in folder.glob("*.json.gz"):
        if path.name == "summary.json.gz":
            continue
        table = orjson.loads(gzip.decompress(path.read_bytes()))
        for row in table["tests"]:
            for stretch in row["statuses"]:
                expected[stretch["value"]] += stretch["count"]
        for run in read(table):
            seen.update(run["codes"])
    del expected[0]
    assert seen == expected and sum(seen.values()) > 100_000
