"""The tables the contracts declare, made and brought up to date without Spark."""

from dataclasses import replace

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from cilake.contracts import registry
from cilake.lake import catalog as module
from cilake.lake.catalog import SchemaError, create_tables, iceberg_schema


@pytest.fixture
def catalog(tmp_path):
    return SqlCatalog(
        "lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse"
    )


def use(monkeypatch, *tables):
    monkeypatch.setattr(module, "tables", lambda: {table.address: table for table in tables})


def without(table, *names):
    return replace(table, columns=tuple(c for c in table.columns if c.name not in names))


def test_every_declared_table_is_made_once(catalog):
    assert set(create_tables(catalog)) == set(registry.tables())
    assert create_tables(catalog) == []


def test_a_table_gains_what_its_contract_gained_in_its_place(catalog, monkeypatch):
    table = registry.table("kpi.daily_job_health")
    use(monkeypatch, without(table, "release", "platform"))
    create_tables(catalog)
    use(monkeypatch, table)
    create_tables(catalog)
    schema = catalog.load_table(table.address).schema()
    assert [field.name for field in schema.columns] == table.column_names
    assert schema.find_field("release").doc == table.column("release").description
    create_tables(catalog)
    assert catalog.load_table(table.address).schema() == schema


def test_a_column_that_may_not_be_null_cannot_be_added_and_nothing_is_changed(catalog, monkeypatch):
    table = registry.table("kpi.daily_job_health")
    use(monkeypatch, without(table, "run_count", "release"))
    create_tables(catalog)
    before = catalog.load_table(table.address).schema()
    use(monkeypatch, table)
    with pytest.raises(SchemaError, match="run_count"):
        create_tables(catalog)
    assert catalog.load_table(table.address).schema() == before
    assert len(before.columns) == len(iceberg_schema(table).columns) - 2
