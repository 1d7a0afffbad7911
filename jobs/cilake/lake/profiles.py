"""The catalog ``lake`` in the settings of Spark and PyIceberg, one profile per kind; standard library only.

``jdbc`` is PostgreSQL, for the embedded stack and the containers. ``glue`` is the Glue Data Catalog over a
warehouse on S3, ``s3tables`` the Iceberg REST endpoint of a table bucket. The last two hold no secret: they
sign with the role that the process runs as.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from cilake.settings import Settings, SettingsError, require, require_address

CATALOG = "lake"
KINDS = ("jdbc", "glue", "s3tables")
_FILE_IO = "org.apache.iceberg.aws.s3.S3FileIO"
_TABLE_BUCKET = "arn:aws:s3tables:"


def check_catalog(settings: Settings) -> None:
    """Check that the profile is known and has what it needs.

    Raises:
        SettingsError: naming what is wrong.

    """
    if settings.catalog not in KINDS:
        raise SettingsError(f"CILAKE_CATALOG={settings.catalog!r} is unknown; use one of {', '.join(KINDS)}")
    if settings.catalog == "jdbc":
        require(settings, "catalog_uri", "catalog_user", "catalog_password")
        if not _is_database(settings.catalog_uri):  # it is not shown: there may be a password in it
            raise SettingsError(
                "CILAKE_CATALOG_URI is no address of a catalog: expected postgresql://HOST:PORT/DATABASE"
            )
    if settings.catalog == "glue" and not settings.warehouse.startswith("s3://"):
        raise SettingsError(
            f"CILAKE_WAREHOUSE={settings.warehouse!r}: the Glue catalog needs s3://bucket/path"
        )
    if settings.catalog == "s3tables" and not settings.warehouse.startswith(_TABLE_BUCKET):
        raise SettingsError(
            f"CILAKE_WAREHOUSE={settings.warehouse!r}: S3 Tables need the ARN of a table bucket "
            f"({_TABLE_BUCKET}REGION:ACCOUNT:bucket/NAME)"
        )
    if settings.catalog == "s3tables" and settings.catalog_uri:
        require_address("CILAKE_CATALOG_URI", settings.catalog_uri)


def _is_database(address: str) -> bool:
    """Return whether it is the address of a PostgreSQL database, without a login."""
    try:
        parts = urlsplit(address)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an address in them, a port that is none
        return False
    return parts.scheme == "postgresql" and has_host and "@" not in parts.netloc


def spark_catalog(settings: Settings) -> dict[str, str]:
    """Return the Spark properties that make the catalog known, credentials included."""
    check_catalog(settings)
    kinds = {"jdbc": _spark_jdbc, "glue": _spark_glue, "s3tables": _spark_s3tables}
    options = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        **kinds[settings.catalog](settings),
        ".warehouse": settings.warehouse,
        ".io-impl": _FILE_IO,
        ".client.region": settings.s3_region,
        ".cache-enabled": "false",
    }
    if settings.s3_endpoint:
        options |= {
            ".s3.endpoint": settings.s3_endpoint,
            ".s3.path-style-access": "true",
            ".s3.access-key-id": settings.s3_access_key,
            ".s3.secret-access-key": settings.s3_secret_key,
        }
    return {f"spark.sql.catalog.{CATALOG}{name}": value for name, value in options.items()}


def pyiceberg_catalog(settings: Settings) -> dict[str, str]:
    """Return the properties with which PyIceberg opens the catalog, credentials included."""
    check_catalog(settings)
    kinds = {"jdbc": _pyiceberg_jdbc, "glue": _pyiceberg_glue, "s3tables": _pyiceberg_s3tables}
    return kinds[settings.catalog](settings) | {
        "warehouse": settings.warehouse,
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        **file_properties(settings),
    }


def file_properties(settings: Settings) -> dict[str, str]:
    """Return the properties with which PyIceberg reads and writes files, credentials included."""
    properties = {"s3.region": settings.s3_region}
    if settings.s3_endpoint:
        properties |= {
            "s3.endpoint": settings.s3_endpoint,
            "s3.access-key-id": settings.s3_access_key,
            "s3.secret-access-key": settings.s3_secret_key,
            "s3.path-style-access": "true",
        }
    return properties


def _spark_jdbc(settings: Settings) -> dict[str, str]:
    return {
        ".type": "jdbc",
        ".uri": f"jdbc:{settings.catalog_uri}",
        ".jdbc.user": settings.catalog_user,
        ".jdbc.password": settings.catalog_password,
        ".jdbc.schema-version": "V1",
    }


def _spark_glue(settings: Settings) -> dict[str, str]:
    return {".type": "glue"}


def _spark_s3tables(settings: Settings) -> dict[str, str]:
    return {
        ".type": "rest",
        ".uri": _rest_endpoint(settings),
        ".rest.sigv4-enabled": "true",
        ".rest.signing-name": "s3tables",
        ".rest.signing-region": settings.s3_region,
        ".rest-metrics-reporting-enabled": "false",
    }


def _pyiceberg_jdbc(settings: Settings) -> dict[str, str]:
    scheme, _, server = settings.catalog_uri.partition("://")
    login = f"{settings.catalog_user}:{settings.catalog_password}"
    return {"type": "sql", "uri": f"{scheme}+psycopg2://{login}@{server}"}


def _pyiceberg_glue(settings: Settings) -> dict[str, str]:
    return {"type": "glue", "glue.region": settings.s3_region}


def _pyiceberg_s3tables(settings: Settings) -> dict[str, str]:
    return {
        "type": "rest",
        "uri": _rest_endpoint(settings),
        "rest.sigv4-enabled": "true",
        "rest.signing-name": "s3tables",
        "rest.signing-region": settings.s3_region,
    }


def _rest_endpoint(settings: Settings) -> str:
    return settings.catalog_uri or f"https://s3tables.{settings.s3_region}.amazonaws.com/iceberg"
