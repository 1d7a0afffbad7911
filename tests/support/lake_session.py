"""A lake in a folder for tests: Spark and PyIceberg on one SQLite catalog, without a server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deploy.local.layout import current
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog

from cilake.lake.catalog import create_tables
from cilake.settings import Settings

PROPERTIES = {
    "": "org.apache.iceberg.spark.SparkCatalog",
    ".type": "jdbc",
    ".jdbc.schema-version": "V1",
    ".cache-enabled": "false",
}


def iceberg_conf() -> dict[str, str]:
    """Return what a session needs before it starts, so that it can open such lakes."""
    runtime = [jar for jar in os.environ.get("CILAKE_SPARK_JARS", "").split(",") if "iceberg-spark" in jar]
    test_jars = sorted(map(str, (current().lib / "test").glob("*.jar")))
    return {
        "spark.jars": ",".join(runtime + test_jars),
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    }


@dataclass(frozen=True, slots=True)
class LocalLake:
    """An empty lake with all tables, and the session that is logged in to it."""

    spark: Any
    catalog: Catalog
    settings: Settings

    def rows(self, address: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return the rows of a table, sorted."""
        found = self.catalog.load_table(address).scan(selected_fields=columns or ("*",)).to_arrow()
        return sorted((tuple(row.values()) for row in found.to_pylist()), key=repr)

    def insert(self, address: str, rows: list[dict[str, Any]]) -> None:
        """Append rows to a table without any audit."""
        table = self.catalog.load_table(address)
        import pyarrow as pa

        table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))


def make_catalog(folder: Path) -> SqlCatalog:
    """Return a catalog in the folder with all tables, empty."""
    catalog = SqlCatalog("lake", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    create_tables(catalog)
    return catalog


OPENERS = ("cilake.lake.catalog", "cilake.lake.session")
"""The modules that open the real lake; all others do it through what they import from these."""


@contextmanager
def local_lake(
    spark: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> Iterator[LocalLake]:
    """A lake in the folder; while it is open, the jobs' functions work on it."""
    folder.mkdir(parents=True, exist_ok=True)
    catalog = make_catalog(folder)
    session = spark.newSession()
    given = PROPERTIES | {".uri": f"jdbc:sqlite:{folder}/catalog.db", ".warehouse": f"{folder}/warehouse"}
    for name, value in given.items():
        session.conf.set(f"spark.sql.catalog.lake{name}", value)

    # Great Expectations looks in the session that it finds for the views that it makes in the batch's.
    monkeypatch.setattr(type(spark), "_instantiatedSession", session)

    @contextmanager
    def opened(settings: Settings, *, app_name: str) -> Iterator[Any]:
        yield session

    # Great Expectations takes whatever session there is.
    monkeypatch.setattr(type(spark), "_instantiatedSession", session)
    for name in [name for name in sys.modules if name.startswith("cilake.") and name not in OPENERS]:
        module = sys.modules[name]
        if hasattr(module, "spark_session"):
            monkeypatch.setattr(module, "spark_session", opened)
        if hasattr(module, "open_catalog"):
            monkeypatch.setattr(module, "open_catalog", lambda settings: catalog)
    yield LocalLake(session, catalog, Settings(**settings))
