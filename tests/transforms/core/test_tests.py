"""Tests: distinct exact names, only the new ones."""

import pyarrow as pa
import pytest
from tests.support.collisions import colliding_names
from tests.support.decoded import decode
from tests.support.engines import make_input, rows_of
from tests.support.grids import make_table

from cilake.contracts.core.tests import TABLE
from cilake.sources.keys import hash_name
from cilake.transforms.core import tests
from cilake.transforms.words import RESULTS_OF_TESTS


def find_new(engine, decoded, published=None):
    """The rows of new names."""
    held = make_input(engine, TABLE, []) if published is None else published
    return tests.transform(engine, decoded=engine.from_arrow(decoded), tests=held)


def test_names_are_kept_exactly_and_once(engine):
    decoded = decode(make_table({"a": [1], " a": [1]}), make_table({"a": [1], "A": [1]}, job="other"))
    found = rows_of(engine, find_new(engine, decoded))
    assert sorted(row.test_name for row in found) == [" a", "A", "a"]
    assert all(row.test_key == hash_name(row.test_name) for row in found)


def test_verdict_rows_are_marked_and_left_out(engine):
    rows = ["Overall", "e2e-aws.Overall", "Pod", "e2e-aws.Pod", "Overall health", "[sig] Pod", "overall"]
    rows.append("Overall\n")
    found = find_new(engine, decode(make_table({name: [1] for name in rows})))
    assert {row.test_name for row in rows_of(engine, found) if row.is_verdict} == set(rows[:4])
    results = engine.sql(f"SELECT * FROM {RESULTS_OF_TESTS}", tests=found, test_results=found)
    assert len(rows_of(engine, results)) == 4


def test_a_name_without_any_result_is_no_test_yet(engine):
    found = find_new(engine, decode(make_table({"a": [1, 0], "never": [0, 0]})))
    assert [row.test_name for row in rows_of(engine, found)] == ["a"]


@pytest.fixture(scope="module")
def collided():
    """A name landed at midnight, and an hour later, in another tab, another one that has its key."""
    honest, hostile = sorted(colliding_names(), reverse=True)
    first = decode(make_table({"Overall": [1], honest: [1]}, job="honest"))
    later = decode(make_table({"Overall": [12], hostile: [12], "b": [3]}, job="hostile"), served_hour=1)
    return honest, hostile, first, later


def test_the_name_that_was_there_first_keeps_its_key(engine, collided):
    honest, hostile, first, later = collided
    published, nothing = find_new(engine, first), make_input(engine, TABLE, [])
    for known, decoded in ((published, later), (nothing, pa.concat_tables([first, later]))):
        rows = [*rows_of(engine, find_new(engine, decoded, known)), *rows_of(engine, known)]
        assert {row.test_name for row in rows} == {"Overall", honest, "b"}
        found = tests.find_collisions(engine, decoded=engine.from_arrow(decoded), tests=known)
        (reject,) = rows_of(engine, found)
        assert (reject.test_name, reject.holder_name, reject.test_key) == (hostile, honest, hash_name(honest))
        assert (reject.origin, reject.natural_id) == ("2021-06-25|1|0", "dashboard/tab-0")
        assert reject.reason == f"taken_test_key: {hash_name(honest)} is the key of {honest}"


def test_results_of_a_name_whose_key_is_taken_are_left_out(engine, collided):
    _, _, first, later = collided
    both = engine.from_arrow(pa.concat_tables([first, later]))
    found = tests.find_collisions(engine, decoded=both, tests=make_input(engine, TABLE, []))
    left = {row.job_name: row for row in rows_of(engine, tests.leave_out_collisions(engine, both, found))}
    before = {row.job_name: row for row in rows_of(engine, both)}
    assert left["honest"] == before["honest"]
    run = left["hostile"]
    assert set(run.test_keys) == {hash_name("Overall"), hash_name("b")}
    assert sorted(run.test_statuses) == ["failed", "passed_with_skips"] and len(run.messages) == 2
    counts = (run.result_count, run.test_count, run.failed_count, run.passed_count)
    assert counts == (2, 1, 0, 0), "the verdict and the skipped test"
    assert before["hostile"].failed_count == 1


def test_without_collisions_nothing_is_left_out(engine, collided):
    _, _, first, _ = collided
    decoded = engine.from_arrow(first)
    found = tests.find_collisions(engine, decoded=decoded, tests=make_input(engine, TABLE, []))
    assert rows_of(engine, found) == []
    assert rows_of(engine, tests.leave_out_collisions(engine, decoded, found)) == rows_of(engine, decoded)


def test_names_of_a_payload_stay_with_its_runs_when_the_first_is_left_out(engine):
    """A run that two payloads show is left out of one of them, with that one's names."""
    shown = decode(make_table({"a": [1, 1], "b": [1, 1]}), make_table({"a": [1, 1], "c": [1, 1]}))
    rows = shown.to_pylist()
    rest = pa.Table.from_pylist([row for row in rows if not row["test_names"]], schema=shown.schema)
    kept = tests.keep_names(engine, engine.from_arrow(shown), engine.from_arrow(rest))
    names = {row.natural_id: row.test_names for row in rows_of(engine, kept)}
    assert names == {"dashboard/tab-0": ["a", "b"], "dashboard/tab-1": ["a", "c"]}
    assert all(list(map(hash_name, row.test_names)) == row.test_name_keys for row in rows_of(engine, kept))
    assert rows_of(engine, tests.keep_names(engine, engine.from_arrow(shown), engine.from_arrow(shown)))


def test_running_twice_adds_nothing(engine):
    decoded = decode(make_table({"a": [1]}))
    assert rows_of(engine, find_new(engine, decoded, find_new(engine, decoded))) == []


def test_no_payload_no_rows(engine):
    assert rows_of(engine, find_new(engine, decode())) == []
