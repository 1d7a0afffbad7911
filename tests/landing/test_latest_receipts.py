"""The newest receipt of each dashboard and day: sums over it count a day that was landed twice once."""

import warnings
from collections import Counter
from datetime import date

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from cilake.contracts import registry
from cilake.lake.catalog import create_tables
from cilake.landing import latest_receipts
from cilake.landing.latest_receipts import fill_latest_receipts
from cilake.landing.writer import append_receipts

DAY, NEXT_DAY = date(2021, 6, 6), date(2021, 6, 7)
LATEST = registry.table("ops.latest_receipts")


@pytest.fixture
def catalog(tmp_path):
    found = SqlCatalog(
        "lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse"
    )
    create_tables(found)
    return found


def land(catalog, day=DAY, source="testgrid", **landed):
    """One batch of a landing: the number of landed payloads by dashboard."""
    counts = {scope: Counter(landed=count) for scope, count in landed.items()}
    append_receipts(catalog, counts, source=source, day=day, landing_id=f"{source}-{day}")


def rows(catalog, address):
    return catalog.load_table(address).scan().to_arrow().sort_by("landed_at").to_pylist()


def landed(catalog):
    """What was landed by source, dashboard and day, by the newest receipts."""
    return {
        (row["source"], row["scope"], row["partition_date"]): row["landed_count"]
        for row in rows(catalog, LATEST.address)
    }


def test_its_columns_are_those_of_the_receipts():
    assert LATEST.columns == registry.table("ops.receipts").columns


def test_a_repeated_landing_replaces_its_receipts_and_no_others(catalog):
    land(catalog, a=3, b=4)
    land(catalog, c=5)
    land(catalog, NEXT_DAY, a=1)
    land(catalog, source="other", a=7)
    land(catalog, a=0, b=2)
    assert landed(catalog) == {
        ("testgrid", "a", DAY): 0,
        ("testgrid", "b", DAY): 2,
        ("testgrid", "c", DAY): 5,
        ("testgrid", "a", NEXT_DAY): 1,
        ("other", "a", DAY): 7,
    }
    assert len(rows(catalog, "ops.receipts")) == 7
    assert len(rows(catalog, LATEST.address)) == 5


@pytest.mark.parametrize("before", ["nothing", "receipts of the day", "receipts of other days"])
def test_landings_at_once_keep_the_receipts_of_both(catalog, monkeypatch, before):
    if before != "nothing":
        land(catalog, DAY if before == "receipts of the day" else NEXT_DAY, a=3, b=4)
    make_rows = latest_receipts._rows

    def land_meanwhile(receipts):
        monkeypatch.setattr(latest_receipts, "_rows", make_rows)
        land(catalog, source="other", a=7)
        land(catalog, a=5)
        return make_rows(receipts)

    monkeypatch.setattr(latest_receipts, "_rows", land_meanwhile)
    land(catalog, a=1)
    found = landed(catalog)
    assert (found["testgrid", "a", DAY], found["other", "a", DAY]) == (1, 7)
    assert len(rows(catalog, LATEST.address)) == len(found)


def test_readers_see_the_old_or_the_new_receipts_and_nothing_between(catalog):
    land(catalog, a=3, b=4)
    land(catalog, c=1)
    before = catalog.load_table(LATEST.address)
    land(catalog, a=1, b=1)
    assert before.scan().to_arrow().num_rows == 3
    # One commit: the pointer moved once, so the file that the catalog named last is the one read before.
    after = catalog.load_table(LATEST.address)
    assert after.metadata.metadata_log[-1].metadata_file == before.metadata_location


def test_a_landing_of_nothing_and_of_a_new_day_says_nothing(catalog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        land(catalog)
        land(catalog, a=1)
        land(catalog, NEXT_DAY, a=1)
    assert len(rows(catalog, LATEST.address)) == 2


def test_a_lake_with_receipts_from_before_is_filled_once(catalog):
    land(catalog, a=3, b=4)
    land(catalog, a=0)
    catalog.drop_table(LATEST.address)
    create_tables(catalog)
    assert fill_latest_receipts(catalog) == 2
    assert landed(catalog) == {("testgrid", "a", DAY): 0, ("testgrid", "b", DAY): 4}
    assert fill_latest_receipts(catalog) == 0


def test_also_by_its_first_landing(catalog):
    land(catalog, a=3, b=4)
    catalog.drop_table(LATEST.address)
    create_tables(catalog)
    land(catalog, NEXT_DAY, a=1)
    assert len(landed(catalog)) == 3
