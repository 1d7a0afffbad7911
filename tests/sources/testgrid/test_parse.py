"""Reading TestGrid payloads: the runs they hold, and every way they can be broken."""

import copy
import gzip
from collections import Counter
from pathlib import Path

import orjson
import pytest
from tests.grids import dump, make_table

from cilake.sources.testgrid import parse

RECORDED = Path(__file__).parents[4] / "shared/data/testgrid-openshift/historical"

ROWS = {"Overall": [1, 12, 1], "a": [0, 12, 1], "b": [13, 0, 4], "never": [0, 0, 0]}


def read(table):
    return parse.read_runs(parse.read_grid(table)).to_pylist()


def test_runs_hold_the_non_empty_cells_of_their_column():
    newest, middle, oldest = read(make_table(ROWS))
    keys = {name: parse.hash_name(name) for name in ROWS}
    assert dict(zip(middle["test_keys"], middle["codes"], strict=True)) == {
        keys["Overall"]: 12,
        keys["a"]: 12,
    }
    assert middle["messages"] == ["boom", "boom"]
    assert (newest["flaky_count"], middle["failed_count"], oldest["running_count"]) == (1, 1, 1)
    assert (middle["test_count"], middle["result_count"]) == (1, 2), "Overall is no test"
    assert [run["result_code"] for run in (newest, middle, oldest)] == [1, 12, 1]
    assert newest["run_url"] == "https://ci.example/view/bucket/logs/e2e-aws-4.8/1003"
    assert newest["test_names"] == list(ROWS)
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


def test_content_digest_ignores_what_changes_on_every_request():
    table = make_table(ROWS)
    later = table | {"status": "Served 3 results", "cached": False, "phase-timer": {"total": 9}}
    assert parse.content_digest(table) == parse.content_digest(later)
    assert parse.content_digest(table) != parse.content_digest(make_table(ROWS | {"a": [1, 1, 1]}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tests": None}, "not_a_table"),
        ({"query": None}, "not_a_table"),
        ({"timestamps": [1, 2]}, "builds for 2 columns"),
        ({"changelists": ["1", "1", "2"]}, "distinct"),
        ({"changelists": [1, 2, 3]}, "distinct strings"),
        ({"tests": [{"name": "a", "statuses": [{"count": 2, "value": 1}], "messages": ["", ""]}]}, "cover"),
        (
            {"tests": [{"name": "a", "statuses": [{"count": 3, "value": 99}], "messages": [""] * 3}]},
            "out of range",
        ),
        ({"tests": [{"name": "a", "statuses": [{"count": -3, "value": 1}], "messages": []}]}, "out of range"),
        (
            {"tests": [{"name": "a", "statuses": [{"count": 3, "value": 1}], "messages": []}]},
            "differ in number",
        ),
        ({"tests": [{"statuses": []}]}, "not_a_table"),
        ({"timestamps": ["x", "y", "z"]}, "not_a_table"),
    ],
)
def test_broken_tables_are_refused_with_the_reason(change, reason):
    with pytest.raises(parse.UnreadableError, match=reason):
        parse.read_grid(make_table(ROWS) | change)


@pytest.mark.parametrize("payload", [b"", b"{", b"<html>", b"[]", b"null", dump({})[:-1]])
def test_payloads_that_are_no_object_are_refused(payload):
    with pytest.raises(parse.UnreadableError):
        parse.parse_object(payload)


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
