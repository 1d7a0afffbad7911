"""The Spark session: a Connect server, a cluster's own, or a local one, from the same settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from cilake.lake.catalog import CATALOG
from cilake.settings import Settings, require


@contextmanager
def spark_session(settings: Settings, *, app_name: str) -> Iterator[SparkSession]:
    """A session of its own for one job, ended with it.

    With ``CILAKE_SPARK_REMOTE`` it is a client of that Connect server (token in
    ``SPARK_CONNECT_AUTHENTICATE_TOKEN``), else a classic session (local, or as spark-submit says).
    """
    if settings.spark_remote:
        spark = SparkSession.builder.remote(settings.spark_remote).create()
    else:
        spark = _classic_session(settings, app_name)
    try:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        yield spark
    finally:
        spark.stop()


def _classic_session(settings: Settings, app_name: str) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app_name)
    for key, value in spark_conf(settings).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def spark_conf(settings: Settings) -> dict[str, str]:
    """The Spark properties that make the catalog ``lake`` known, credentials included."""
    require(settings, "catalog_uri", "catalog_user", "catalog_password")
    prefix = f"spark.sql.catalog.{CATALOG}"
    conf = {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        prefix: "org.apache.iceberg.spark.SparkCatalog",
        f"{prefix}.type": "jdbc",
        f"{prefix}.uri": f"jdbc:{settings.catalog_uri}",
        f"{prefix}.jdbc.user": settings.catalog_user,
        f"{prefix}.jdbc.password": settings.catalog_password,
        f"{prefix}.jdbc.schema-version": "V1",
        f"{prefix}.warehouse": settings.warehouse,
        f"{prefix}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        f"{prefix}.client.region": settings.s3_region,
        f"{prefix}.cache-enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    if settings.s3_endpoint:
        conf |= {
            f"{prefix}.s3.endpoint": settings.s3_endpoint,
            f"{prefix}.s3.path-style-access": "true",
            f"{prefix}.s3.access-key-id": settings.s3_access_key,
            f"{prefix}.s3.secret-access-key": settings.s3_secret_key,
        }
    if settings.spark_jars:
        conf["spark.jars"] = settings.spark_jars
    return conf
