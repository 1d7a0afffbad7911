"""What cannot be read is in quarantine once, whoever else puts it there at the same moment."""

from datetime import date

import pytest
from tests.support.lake_session import make_catalog

from cilake.contracts.ops.quarantine import TABLE
from cilake.landing.quarantine import append_quarantine


@pytest.fixture
def catalog(tmp_path):
    return make_catalog(tmp_path)


def refused(tab="board/a", day=date(2021, 6, 25)):
    return {
        "source": "testgrid",
        "endpoint": "table",
        "natural_id": tab,
        "partition_date": day,
        "landing_id": f"testgrid-{day}",
        "reason": "not_an_object",
    }


def stored(catalog):
    rows = catalog.load_table(TABLE.address).scan().to_arrow().to_pylist()
    return sorted((row["natural_id"], row["partition_date"].day) for row in rows)


def test_what_is_met_again_is_kept_once(catalog):
    other_day = refused(day=date(2021, 6, 26))
    assert append_quarantine(catalog, []) == 0
    assert append_quarantine(catalog, [refused(), refused(), other_day]) == 2
    assert append_quarantine(catalog, [refused(), refused("board/b")]) == 1
    assert append_quarantine(catalog, [refused(), other_day]) == 0
    assert stored(catalog) == [("board/a", 25), ("board/a", 26), ("board/b", 25)]


def test_two_writers_at_once_keep_a_row_once(catalog, monkeypatch):
    """The other writer commits after this one has looked and before it appends."""
    load, others = catalog.load_table, [refused()]

    class Meanwhile:
        """A table to which another writer appends as soon as its rows are looked at."""

        def __init__(self, table):
            self.table = table

        def __getattr__(self, name):
            return getattr(self.table, name)

        def scan(self, *args, **options):
            return Looked(self.table.scan(*args, **options))

    class Looked:
        def __init__(self, scan):
            self.scan = scan

        def to_arrow(self):
            found = self.scan.to_arrow()
            if others:
                monkeypatch.setattr(catalog, "load_table", load)
                append_quarantine(catalog, [others.pop()])
            return found

    monkeypatch.setattr(catalog, "load_table", lambda address: Meanwhile(load(address)))
    assert append_quarantine(catalog, [refused(), refused("board/b")]) == 1
    assert stored(catalog) == [("board/a", 25), ("board/b", 25)]
