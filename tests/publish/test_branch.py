"""Only what was audited is published, whatever killed tries, other writers and late writes do meanwhile."""

import time
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

import pytest
from pyiceberg.table.update.snapshot import ManageSnapshots
from pyiceberg.types import StringType
from tests.support.builders import make_frame, make_row, make_rows
from tests.support.lake_session import local_lake

from cilake.contracts.core.tests import TABLE
from cilake.contracts.predictions.test_failure import TABLE as LEDGER
from cilake.lake.catalog import arrow_schema
from cilake.publish.branch import PublishError, open_branch, opened_at, write_audit_publish
from cilake.publish.replace import Replacement, replace_days

pytestmark = pytest.mark.spark


@pytest.fixture
def lake(spark, tmp_path, monkeypatch):
    with local_lake(spark, tmp_path / "lake", monkeypatch) as lake:
        yield lake


def names(lake):
    return [name for (name,) in lake.rows(TABLE.address, "test_name")]


def frame(lake, *test_names):
    rows = [make_row(TABLE, test_key=key, test_name=name) for key, name in enumerate(test_names)]
    return make_frame(lake.spark, TABLE, rows)


def open_for(lake, run_id="core_2026-03-01"):
    return open_branch(lake.spark, lake.catalog, TABLE, run_id)


def branches(lake):
    return sorted(set(lake.catalog.load_table(TABLE.address).refs()) - {"main"})


def do_nothing(branch):
    """An audit that passes."""


def test_what_was_written_is_audited_published_and_the_branch_is_gone(lake):
    seen = []

    def audit(branch):
        assert names(lake) == [], "nothing is published before the audit"
        seen.append(branch.appended()["test_name"].to_pylist())

    def write(branch):
        branch.append(frame(lake, "a"))

    write_audit_publish([open_for(lake)], write, audit, properties={TABLE.address: {"cilake.build": "1"}})
    assert (seen, names(lake), branches(lake)) == ([["a"]], ["a"], [])
    assert lake.catalog.load_table(TABLE.address).properties["cilake.build"] == "1"


def test_an_audit_sees_the_columns_that_are_there_and_lists_of_bounded_size(lake, monkeypatch):
    with lake.catalog.load_table(TABLE.address).update_schema() as update:
        update.add_column("extra", StringType())
    branch = open_for(lake)
    one = make_rows(TABLE, [make_row(TABLE)]).cast(arrow_schema(TABLE))
    lake.catalog.load_table(TABLE.address).append(one, branch=branch.name)
    sealed = branch.seal()
    assert sealed.appended().column_names == [*TABLE.column_names, "extra"]
    assert sealed.appended_count == 1
    monkeypatch.setattr("cilake.publish.branch.FEW_VALUES", len(TABLE.columns) - 1)
    assert sealed.appended().count() == 1, "what is too large is left in Spark"


def test_a_failed_audit_publishes_nothing(lake):
    def audit(branch):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write_audit_publish([open_for(lake)], lambda branch: branch.append(frame(lake, "a")), audit)
    assert (names(lake), branches(lake)) == ([], [])


def test_a_killed_try_that_goes_on_on_the_server_publishes_nothing(lake, tmp_path):
    """The experiment: the first try's append ends after its retry has begun and before the retry's audit."""
    released = tmp_path / "released"
    started = tmp_path / "started"

    def hold(batches):
        started.touch()
        deadline = time.monotonic() + 120
        while not released.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield from batches

    killed = open_for(lake)
    slow = frame(lake, "killed").mapInArrow(hold, "test_key bigint, test_name string, is_verdict boolean")
    with ThreadPoolExecutor(1) as server:
        going_on = server.submit(killed.append, slow)
        while not started.exists():
            assert not going_on.done(), going_on.result()
            time.sleep(0.05)
        retry = open_for(lake)
        assert branches(lake) == [retry.name]

        def write(branch):
            branch.append(frame(lake, "retry"))
            released.touch()
            wait([going_on], timeout=120)

        write_audit_publish([retry], write, do_nothing)
    assert going_on.exception() is None, "the server went on to its end"
    assert names(lake) == ["retry"]
    assert branches(lake) == [killed.name], "Iceberg makes the branch again"
    write_audit_publish([open_for(lake)], lambda branch: branch.append(frame(lake, "next")), do_nothing)
    assert (names(lake), branches(lake)) == (["next", "retry"], []), "the next try drops what was left"


@pytest.mark.parametrize("meanwhile", ["append", "rollback"])
def test_a_branch_is_not_published_over_what_another_run_did_to_the_table(lake, meanwhile):
    for name in ("a", "b"):
        write_audit_publish([open_for(lake)], partial(append, lake, name), do_nothing)

    def audit(branch):
        table = lake.catalog.load_table(TABLE.address)
        if meanwhile == "append":
            table.append(make_rows(TABLE, [make_row(TABLE, test_name="other")]).cast(arrow_schema(TABLE)))
        else:
            with table.transaction() as transaction:
                first = table.snapshots()[1].snapshot_id
                ManageSnapshots(transaction).set_current_snapshot(snapshot_id=first).commit()

    with pytest.raises(PublishError, match="changed by another run meanwhile"):
        write_audit_publish([open_for(lake)], partial(append, lake, "c"), audit)
    assert names(lake) == (["a", "b", "other"] if meanwhile == "append" else ["a"])


def append(lake, name, branch):
    branch.append(frame(lake, name))


def test_what_comes_to_the_branch_after_its_audit_is_not_published(lake):
    def audit(branch):
        branch.append(frame(lake, "late"))

    with pytest.raises(PublishError, match="changed after its audit"):
        write_audit_publish([open_for(lake)], lambda branch: branch.append(frame(lake, "a")), audit)
    assert (names(lake), branches(lake)) == ([], [])


def test_another_writer_is_not_overwritten(lake):
    def audit(branch):
        frame(lake, "other").writeTo(TABLE.identifier).append()

    with pytest.raises(PublishError, match="changed by another run"):
        write_audit_publish([open_for(lake)], lambda branch: branch.append(frame(lake, "a")), audit)
    assert (names(lake), branches(lake)) == (["other"], [])


def test_a_branch_of_another_run_is_left_alone(lake):
    other = open_for(lake, "core_2026-03-02")
    open_for(lake, "core_2026-03-01").drop()
    assert branches(lake) == [other.name]
    assert opened_at(other.name) is not None
    assert opened_at("audit_killed") is None


def test_a_branch_that_is_not_sealed_is_not_published(lake):
    with pytest.raises(ValueError, match="not sealed"):
        open_for(lake).publish()


def test_a_stop_at_a_point_is_a_kill(monkeypatch):
    from cilake.publish import stop_points

    stops = []
    monkeypatch.setattr(stop_points.os, "kill", lambda pid, number: stops.append(number))
    monkeypatch.setenv("CILAKE_STOP_AFTER", "publish:core.tests")
    for step in stop_points.STEPS:
        stop_points.pass_point(step, "core.tests")
        stop_points.pass_point(step, "core.ci_jobs")
    assert stops == [stop_points.signal.SIGKILL]


def test_tables_are_written_as_their_contracts_say(lake):
    day = "2021-06-21"
    branch = open_branch(lake.spark, lake.catalog, LEDGER, f"score_{day}")
    with pytest.raises(TypeError, match="is a ledger: its rows are never removed"):
        branch.delete(f"prediction_date = date '{day}'")
    branch.drop()
    wrong = Replacement(TABLE, frame(lake, "one"), "run_date", [])
    with pytest.raises(TypeError, match="core.tests is not written by periods"):
        replace_days(lake.spark, lake.catalog, [wrong], audit=do_nothing, run_id="x")
