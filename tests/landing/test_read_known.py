"""What a landing looks up of earlier replies: enough to compare with, and not all years."""

from datetime import date, timedelta

import pytest
from tests.support.builders import make_row
from tests.support.lake_session import make_catalog

from cilake.contracts.ops.fetches import TABLE as FETCHES
from cilake.lake.records import append_rows
from cilake.landing.writer import KNOWN_DAYS, read_known

DAY = date(2025, 6, 1)
NEWEST = DAY + timedelta(days=400)


def at(day, name="tab"):
    served = f"{day + timedelta(days=1)}T00:00:00Z"
    facts = {"source": "s", "endpoint": "e", "natural_id": name, "content_sha256": f"{day}"}
    return make_row(FETCHES, **facts, served_at=served, fetched_at=served, partition_date=day, etag=f"{day}")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    made = make_catalog(tmp_path_factory.mktemp("lake"))
    days = (-400, -KNOWN_DAYS, -1, 0, KNOWN_DAYS, KNOWN_DAYS + 1, 200, 400 - KNOWN_DAYS, 400)
    append_rows(made, FETCHES.address, [at(DAY + timedelta(days=number)) for number in days])
    return made


def test_replies_near_the_day_and_the_newest_ones_are_looked_at(catalog):
    known = read_known(catalog, "s", {"e": "raw.testgrid__tables"}, DAY)["e"]["tab"]
    found = [(fetch.partition_date - DAY).days for fetch in known.fetches]
    assert found == [-KNOWN_DAYS, -1, 0, KNOWN_DAYS, 400 - KNOWN_DAYS, 400]
    assert known.etag == f"{DAY}", "of the newest reply up to the day"


def test_of_the_newest_day_all_before_it_within_reach(catalog):
    known = read_known(catalog, "s", {"e": "raw.testgrid__tables"}, NEWEST)["e"]["tab"]
    assert [(NEWEST - fetch.partition_date).days for fetch in known.fetches] == [KNOWN_DAYS, 0]
