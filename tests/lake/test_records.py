"""Rows of payloads and of the platform's own records keep their contract, or none of them is stored."""

import pytest
from tests.support.builders import make_row
from tests.support.lake_session import make_catalog

from cilake.contracts.ops.fetches import TABLE
from cilake.lake.records import RecordError, append_rows

OTHER = {"natural_id": "board/other"}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("lake"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"natural_id": None}, "natural_id may not be null"),
        ({"fetch_status": "lost"}, "fetch_status may not be 'lost'"),
        ({"payload_bytes": -1}, "payload_bytes may not be -1"),
        ({}, "one key twice in a batch"),
    ],
)
def test_a_row_that_breaks_the_contract_keeps_the_batch_out(catalog, wrong, message):
    before = catalog.load_table(TABLE.address).current_snapshot()
    rows = [make_row(TABLE), make_row(TABLE) | (OTHER if wrong else {}) | wrong]
    with pytest.raises(RecordError, match=message):
        append_rows(catalog, TABLE.address, rows)
    assert catalog.load_table(TABLE.address).current_snapshot() == before


def test_good_rows_are_appended_in_one_commit(catalog):
    assert append_rows(catalog, TABLE.address, []) == 0
    assert append_rows(catalog, TABLE.address, [make_row(TABLE), make_row(TABLE) | OTHER]) == 2
    assert catalog.load_table(TABLE.address).current_snapshot().summary["added-records"] == "2"
