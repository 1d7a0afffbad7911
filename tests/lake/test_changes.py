"""The dates that differ between two snapshots, whatever else happened to the files."""

from datetime import date, timedelta

import pytest
from tests.support.builders import make_row
from tests.support.lake_session import make_catalog

from cilake.contracts.core.ci_runs import TABLE
from cilake.contracts.kpi.daily_job_health import TABLE as CONSUMER
from cilake.lake.catalog import arrow_schema
from cilake.lake.changes import KEPT_NOTES, built_from, changed_dates, mark_built, note_restated

IDENTITY = ("run_key", "content_hash")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def table(catalog):
    """The table without rows and without what a test before noted of it."""
    table = catalog.load_table(TABLE.address)
    table.delete()
    with table.transaction() as transaction:
        transaction.remove_properties(*(name for name in table.properties if name.startswith("cilake.")))
    return table


def rows(*runs):
    import pyarrow as pa

    made = [
        make_row(TABLE, run_key=key, run_date=day, started_at=f"{day}T12:00:00Z", content_hash=content)
        for key, day, content in runs
    ]
    return pa.Table.from_pylist(made, schema=arrow_schema(TABLE))


def since(catalog, table, snapshot):
    until = catalog.load_table(TABLE.address).current_snapshot().snapshot_id
    found = changed_dates(catalog, TABLE, "run_date", identity=IDENTITY, since=snapshot, until=until)
    return [day.isoformat() for day in found]


def head(table):
    return table.refresh().current_snapshot().snapshot_id


def test_new_rows_count_and_merged_files_do_not(catalog, table):
    table.append(rows((1, "2026-03-01", "a")))
    table.append(rows((2, "2026-03-01", "a"), (3, "2026-03-02", "a")))
    first = head(table)
    assert since(catalog, table, None) == ["2026-03-01", "2026-03-02"]
    table.overwrite(table.scan().to_arrow())
    assert since(catalog, table, first) == []
    table.append(rows((4, "2026-04-01", "a")))
    assert since(catalog, table, first) == ["2026-04-01"]
    assert since(catalog, table, head(table)) == []


def test_a_run_that_moved_counts_with_both_dates_and_a_removed_one_with_its_own(catalog, table):
    table.append(rows((1, "2026-02-28", "a"), (2, "2026-03-05", "a"), (3, "2026-03-06", "a")))
    first = head(table)
    table.overwrite(rows((1, "2026-03-01", "b"), (2, "2026-03-05", "a")))
    assert since(catalog, table, first) == ["2026-02-28", "2026-03-01", "2026-03-06"]


def test_dates_noted_as_restated_count_once_whatever_the_rows_show(catalog, table):
    """A rebuild is noted, published, followed by a build and taken back."""
    content = rows((1, "2026-03-01", "a"), (2, "2026-03-02", "a"))
    table.append(content)
    older = head(table)
    table.overwrite(content)
    before = head(table)
    note_restated(catalog, TABLE, before, [date(2026, 3, 2)])
    table.overwrite(content)
    rebuilt = head(table)
    assert since(catalog, table, older) == since(catalog, table, before) == ["2026-03-02"]
    assert since(catalog, table, rebuilt) == []
    table.append(rows((3, "2026-03-03", "a")))
    assert since(catalog, table, before) == ["2026-03-02", "2026-03-03"]
    assert since(catalog, table, rebuilt) == ["2026-03-03"]
    table.manage_snapshots().rollback_to_snapshot(before).commit()
    assert since(catalog, table, rebuilt) == ["2026-03-02"], "what was restated is as before again"
    table.append(rows((4, "2026-03-04", "a")))
    assert since(catalog, table, rebuilt) == ["2026-03-02", "2026-03-04"]


def test_many_notes_of_restated_dates_become_few_and_lose_no_date(catalog, table):
    table.append(rows((1, "2026-03-01", "a")))
    first = head(table)
    for number in range(KEPT_NOTES + 1):
        note_restated(catalog, TABLE, first, [date(2026, 3, 1) + timedelta(days=number)])
    table.append(rows((2, "2026-02-01", "a")))
    found = since(catalog, table, first)
    assert (found[:2], len(found)) == (["2026-02-01", "2026-03-01"], KEPT_NOTES + 2)


def test_a_consumer_that_never_worked_or_whose_snapshot_is_gone_begins_anew(catalog, table):
    table.append(rows((1, "2026-03-01", "a")))
    assert built_from(catalog, CONSUMER, TABLE) is None
    for snapshot, found in ((head(table), head(table)), (1, None)):
        with catalog.load_table(CONSUMER.address).transaction() as transaction:
            transaction.set_properties(mark_built(TABLE, snapshot))
        assert built_from(catalog, CONSUMER, TABLE) == found
    assert mark_built(TABLE, None) == {}
    assert date(2026, 3, 1) in changed_dates(
        catalog, TABLE, "run_date", identity=IDENTITY, since=None, until=head(table)
    )


def test_consumers_that_share_a_table_note_their_own_work(catalog, table):
    table.append(rows((1, "2026-03-01", "a")))
    snapshot = head(table)
    consumer = catalog.load_table(CONSUMER.address)
    with consumer.transaction() as transaction:
        transaction.set_properties(mark_built(TABLE, snapshot, part="test_failure"))
    assert built_from(catalog, CONSUMER, TABLE, part="test_failure") == snapshot
    assert built_from(catalog, CONSUMER, TABLE, part="time_to_merge") is None
