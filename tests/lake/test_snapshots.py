"""Tags keep what was read, and a retry moves them."""

from datetime import timedelta

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from tests.support.builders import make_row

from cilake.contracts.core.tests import TABLE
from cilake.lake.catalog import arrow_schema, create_tables
from cilake.lake.snapshots import pin


@pytest.fixture
def catalog(tmp_path):
    found = SqlCatalog("lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/lake")
    create_tables(found)
    return found


def append(catalog, key):
    rows = pa.Table.from_pylist([make_row(TABLE, test_key=key)], schema=arrow_schema(TABLE))
    catalog.load_table(TABLE.address).append(rows)


def tagged(catalog):
    refs = catalog.load_table(TABLE.address).refs()
    return {name: ref.snapshot_id for name, ref in refs.items() if name != "main"}


def test_a_table_never_written_has_nothing_to_keep(catalog):
    pins = pin(catalog, TABLE)
    assert pins.of(TABLE) is None
    pins.tag(catalog, TABLE, "scored", keep=timedelta(days=1))
    assert tagged(catalog) == {}


def test_a_tag_is_of_what_was_pinned_and_a_retry_moves_it(catalog):
    append(catalog, 1)
    first = pin(catalog, TABLE)
    append(catalog, 2)
    for _ in range(2):
        first.tag(catalog, TABLE, "scored", keep=timedelta(days=90))
        assert tagged(catalog) == {"scored": first.of(TABLE)}
    retried = pin(catalog, TABLE)
    assert retried.of(TABLE) != first.of(TABLE)
    retried.tag(catalog, TABLE, "scored", keep=timedelta(days=90))
    assert tagged(catalog) == {"scored": retried.of(TABLE)}
    kept = catalog.load_table(TABLE.address).refs()["scored"]
    assert kept.max_ref_age_ms == 90 * 86_400_000
