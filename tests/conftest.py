"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # the tests of Airflow run where the packages of the jobs are not
    from tests.support.lake_session import LocalLake

FEW_COMPILED = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
"""Java compiles little, and has more room for it than the usual 48 MiB: once they are full, each build
takes nearly twice as long."""


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A local Spark session for the whole run, in UTC, with nothing listening on other interfaces."""
    from pyspark.sql import SparkSession
    from tests.support.lake_session import iceberg_conf

    folder = tmp_path_factory.mktemp("spark")
    # Workers start the system's python without this, which lacks our packages; an inherited remote would
    # make the builder look for a Connect server.
    given = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable, "TZ": "UTC"}
    before = {name: os.environ.get(name) for name in (*given, "SPARK_REMOTE")}
    os.environ.pop("SPARK_REMOTE", None)
    os.environ.update(given)
    time.tzset()
    builder = SparkSession.builder.master("local[2]")
    for name, value in iceberg_conf().items():
        builder = builder.config(name, value)
    session = (
        builder.appName("cilake tests")
        # Thousands of small queries: to compile them takes longer than it saves (a fifth of the processor
        # time), and so does to collect garbage meanwhile. The integration tests run the stack's own Spark.
        .config("spark.driver.extraJavaOptions", f"{FEW_COMPILED} -XX:+UseParallelGC")
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    time.tzset()


@pytest.fixture
def lake(spark: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalLake]:
    """A lake that knows the jobs and tests of the predicted world, and nothing of their runs yet."""
    from tests.support.predicted_world import World, lake_of

    with lake_of(spark, tmp_path / "lake", monkeypatch) as lake:
        World().name(lake)
        yield lake
