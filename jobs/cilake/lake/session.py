"""The Spark session: a Connect server, a cluster's own, or a local one, from the same settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pyspark.sql import SparkSession

from cilake.lake.outages import require_answer
from cilake.lake.profiles import spark_catalog
from cilake.settings import Settings


@contextmanager
def spark_session(settings: Settings, *, app_name: str) -> Iterator[SparkSession]:
    """Yield a session for one job, ended with it.

    With ``CILAKE_SPARK_REMOTE`` it is a client of that Connect server (token in
    ``SPARK_CONNECT_AUTHENTICATE_TOKEN``), else a classic session (local, or as spark-submit says).

    Raises:
        OutageError: when nothing listens where the Connect server should be.

    """
    if settings.spark_remote:
        require_answer(settings, "spark_remote")
        spark = SparkSession.builder.remote(settings.spark_remote).create()
    else:
        spark = _classic_session(settings, app_name)
    try:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        yield spark
    except BaseException:
        interrupt(spark)
        raise
    finally:
        spark.stop()


def interrupt(spark: SparkSession) -> None:
    """End what the session has under way on the server, also what other threads of this process wait for."""
    # A Connect server goes on with what a client started, long after the client has gone. Where the server
    # itself is what failed, the first error is the one to report.
    with suppress(Exception):
        spark.interruptAll()


def _classic_session(settings: Settings, app_name: str) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app_name)
    for key, value in spark_conf(settings).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def spark_conf(settings: Settings) -> dict[str, str]:
    """Return the Spark properties that make the catalog ``lake`` known, credentials included."""
    conf = {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        **spark_catalog(settings),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    if settings.spark_jars:
        conf["spark.jars"] = settings.spark_jars
    return conf
