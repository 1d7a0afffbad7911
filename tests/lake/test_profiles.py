"""The three profiles of the catalog, as what Spark and PyIceberg are given."""

from __future__ import annotations

import pytest

from cilake.lake import catalog as module
from cilake.lake.profiles import pyiceberg_catalog, spark_catalog
from cilake.lake.session import spark_conf
from cilake.settings import Settings, SettingsError, read_settings

JDBC = Settings(
    catalog_uri="postgresql://host:5432/iceberg",
    catalog_user="iceberg",
    catalog_password="word",
    s3_endpoint="http://host:8333",
    s3_access_key="key",
    s3_secret_key="secret",
)
GLUE = Settings(catalog="glue", warehouse="s3://bucket/warehouse", s3_region="eu-central-1")
ARN = "arn:aws:s3tables:eu-central-1:123456789012:bucket/cilake"
S3TABLES = Settings(catalog="s3tables", warehouse=ARN, s3_region="eu-central-1")
LAKE = "spark.sql.catalog.lake"


def test_the_default_is_jdbc_as_ever():
    assert Settings().catalog == read_settings({}).catalog == "jdbc"
    assert spark_conf(JDBC) == {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        LAKE: "org.apache.iceberg.spark.SparkCatalog",
        f"{LAKE}.type": "jdbc",
        f"{LAKE}.uri": "jdbc:postgresql://host:5432/iceberg",
        f"{LAKE}.jdbc.user": "iceberg",
        f"{LAKE}.jdbc.password": "word",
        f"{LAKE}.jdbc.schema-version": "V1",
        f"{LAKE}.warehouse": "s3://lake/warehouse",
        f"{LAKE}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        f"{LAKE}.client.region": "us-east-1",
        f"{LAKE}.cache-enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        f"{LAKE}.s3.endpoint": "http://host:8333",
        f"{LAKE}.s3.path-style-access": "true",
        f"{LAKE}.s3.access-key-id": "key",
        f"{LAKE}.s3.secret-access-key": "secret",
    }
    assert pyiceberg_catalog(JDBC) == {
        "type": "sql",
        "uri": "postgresql+psycopg2://iceberg:word@host:5432/iceberg",
        "warehouse": "s3://lake/warehouse",
        "s3.region": "us-east-1",
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        "s3.endpoint": "http://host:8333",
        "s3.access-key-id": "key",
        "s3.secret-access-key": "secret",
        "s3.path-style-access": "true",
    }


def test_glue():
    spark = spark_catalog(GLUE)
    assert spark[f"{LAKE}.type"] == "glue"
    assert spark[f"{LAKE}.warehouse"] == "s3://bucket/warehouse"
    assert pyiceberg_catalog(GLUE)["type"] == "glue"
    assert pyiceberg_catalog(GLUE)["glue.region"] == "eu-central-1"


def test_s3_tables():
    uri = "https://s3tables.eu-central-1.amazonaws.com/iceberg"
    spark, python = spark_catalog(S3TABLES), pyiceberg_catalog(S3TABLES)
    assert (spark[f"{LAKE}.type"], spark[f"{LAKE}.uri"], spark[f"{LAKE}.warehouse"]) == ("rest", uri, ARN)
    assert (python["type"], python["uri"], python["warehouse"]) == ("rest", uri, ARN)
    for name, value in (
        ("sigv4-enabled", "true"),
        ("signing-name", "s3tables"),
        ("signing-region", "eu-central-1"),
    ):
        assert spark[f"{LAKE}.rest.{name}"] == python[f"rest.{name}"] == value


@pytest.mark.parametrize("settings", [GLUE, S3TABLES], ids=["glue", "s3tables"])
def test_on_aws_nothing_secret_is_in_the_properties(settings):
    text = f"{spark_catalog(settings)} {pyiceberg_catalog(settings)}"
    assert "key" not in text
    assert "password" not in text


def test_pyiceberg_opens_the_glue_catalog_without_asking_anybody(monkeypatch):
    for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(name, value)
    opened = module.open_catalog(GLUE)
    assert type(opened).__name__ == "GlueCatalog"
    assert opened.name == "lake"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (Settings(catalog="hive"), "CILAKE_CATALOG='hive' is unknown"),
        (Settings(), "CILAKE_CATALOG_URI"),
        *(
            (
                Settings(catalog_uri=uri, catalog_user="u", catalog_password="p"),
                "^CILAKE_CATALOG_URI is no address of a catalog: expected postgresql://HOST:PORT/DATABASE$",
            )
            for uri in (
                "nonsense",
                "host:5432/iceberg",
                "mysql://host:5432/iceberg",
                "postgresql://user:secret@host:5432/iceberg",
                "postgresql:///iceberg",
                "postgresql://host:port/iceberg",
                "postgresql://[host/iceberg",
            )
        ),
        (
            Settings(catalog="s3tables", warehouse=ARN, catalog_uri="nonsense"),
            "CILAKE_CATALOG_URI='nonsense'",
        ),
        (Settings(catalog="glue", warehouse=ARN), "needs s3://"),
        (Settings(catalog="s3tables"), "ARN of a table bucket"),
    ],
)
def test_what_is_wrong_is_named(settings, complaint):
    for profile in (spark_catalog, pyiceberg_catalog):
        with pytest.raises(SettingsError, match=complaint):
            profile(settings)
