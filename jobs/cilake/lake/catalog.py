"""The Iceberg catalog without Spark: opening it and creating the tables the contracts declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform, IdentityTransform, MonthTransform, Transform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)
from pyiceberg.utils.datetime import days_to_date

from cilake.contracts.model import Column, Table, partition_column
from cilake.contracts.registry import tables
from cilake.contracts.vocabulary.ci import WEEK_DATE
from cilake.errors import PermanentError
from cilake.lake.profiles import CATALOG, pyiceberg_catalog
from cilake.settings import Settings

_TYPES: dict[str, IcebergType] = {
    "bigint": LongType(),
    "int": IntegerType(),
    "double": DoubleType(),
    "string": StringType(),
    "boolean": BooleanType(),
    "timestamp": TimestamptzType(),
    "date": DateType(),
    "binary": BinaryType(),
}
_ARROW_TYPES: dict[str, pa.DataType] = {
    "bigint": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "binary": pa.binary(),
    "array<bigint>": pa.list_(pa.field("element", pa.int64(), nullable=False)),
    "array<string>": pa.list_(pa.field("element", pa.string())),
}
_TRANSFORMS: dict[str, Transform] = {"months": MonthTransform(), "days": DayTransform()}  # type: ignore[type-arg]

BASE_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "write.parquet.compression-level": "1",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.distribution-mode": "none",
    "write.spark.fanout.enabled": "true",
    "commit.retry.num-retries": "8",
    # Each commit adds a manifest, and each plan reads them all.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "8",
}
# Payloads are few and large: many small row groups and splits let every core decode some of them.
RAW_PROPERTIES = {
    "write.parquet.row-group-limit": "16",
    "read.split.target-size": str(2 * 1024 * 1024),
    "read.split.open-file-cost": str(256 * 1024),
}


class SchemaError(PermanentError, RuntimeError):
    """A table in the lake that cannot be made to look as its contract says."""


def open_catalog(settings: Settings) -> Catalog:
    """Return the catalog ``lake`` of the profile in the settings, shared with Spark and Trino.

    Raises:
        SettingsError: when the profile is unknown or lacks its address or credentials.

    """
    return load_catalog(CATALOG, **pyiceberg_catalog(settings))


def create_tables(catalog: Catalog) -> list[str]:
    """Create the tables that do not exist, add to others the columns they lack; return the new addresses.

    Raises:
        SchemaError: when an existing table lacks a column that may not be null.

    """
    for namespace in sorted({table.namespace for table in tables().values()}):
        try:
            catalog.create_namespace(namespace)
        except NamespaceAlreadyExistsError:
            continue
    created = create_missing(catalog, tables().values())
    for table in tables().values():
        if table.address not in created:
            _add_columns(catalog, table)
            set_properties(catalog, table, _properties(table))
    return created


def create_missing(catalog: Catalog, declared: Iterable[Table]) -> list[str]:
    """Create those of the tables that do not exist; return their addresses. Others are left as they are."""
    created = []
    for table in declared:
        if catalog.table_exists(table.address):
            continue
        schema = iceberg_schema(table)
        try:
            catalog.create_table(
                table.address,
                schema,
                partition_spec=partition_spec(table, schema),
                properties={**_properties(table), "comment": f"{table.title}. {table.grain}"},
            )
        except TableAlreadyExistsError:
            continue
        created.append(table.address)
    return created


def _properties(table: Table) -> dict[str, str]:
    kind = RAW_PROPERTIES if table.namespace == "raw" else {}
    return BASE_PROPERTIES | kind | table.properties | _metrics(table)


def _metrics(table: Table) -> dict[str, str]:
    """Return the properties that keep the bounds of texts out of files that PyIceberg writes.

    It cuts them after 16 characters and counts the last one up: U+D7FF becomes half of a surrogate pair,
    which cannot be written. These texts come from outside.
    """
    texts = (column.name for column in table.columns if column.type == "string")
    return {f"write.metadata.metrics.column.{name}": "counts" for name in texts}


def _add_columns(catalog: Catalog, table: Table) -> None:
    """Add to an existing table the columns that its contract has gained, where the contract has them."""
    present = catalog.load_table(table.address)
    known = set(present.schema().column_names)
    gained = [column for column in table.columns if column.name not in known]
    if required := [column.name for column in gained if not column.nullable]:
        raise SchemaError(
            f"{table.address} lacks the columns {', '.join(required)}, which may not be null: drop the "
            "table and build its days again"
        )
    if not gained:
        return
    with present.update_schema() as update:
        for column in gained:
            update.add_column(column.name, _iceberg_type(column), doc=column.description)
            before = table.column_names[: table.column_names.index(column.name)]
            if before:
                update.move_after(column.name, before[-1])
            else:
                update.move_first(column.name)


def set_properties(catalog: Catalog, table: Table, properties: Mapping[str, str]) -> None:
    """Set properties of a table where they differ; its rows stay as they are."""
    present = catalog.load_table(table.address)
    if any(present.properties.get(name) != value for name, value in properties.items()):
        with present.transaction() as transaction:
            transaction.set_properties(dict(properties))


def newest_date(catalog: Catalog, table: Table, column: str | None = None) -> date | None:
    """Return the newest day in the table, from the bounds of its files; ``None`` without days or rows.

    It is the day of its rows, or that in another ``column``. A table of weeks has no newest day: its newest
    week may still be under way.
    """
    column = column or table.day_column
    if column in (None, WEEK_DATE.name):
        return None
    loaded = catalog.load_table(table.address)
    field = loaded.schema().find_field(column)
    bounds = [task.file.upper_bounds.get(field.field_id) for task in loaded.scan().plan_files()]
    known = [int(from_bytes(DateType(), bound)) for bound in bounds if bound is not None]
    return days_to_date(max(known)) if known else None


def iceberg_schema(table: Table) -> Schema:
    """Return the Iceberg schema of a contract, with the columns' descriptions as comments."""
    return Schema(
        *[
            NestedField(
                position,
                column.name,
                _iceberg_type(column, 1000 + position),
                required=not column.nullable,
                doc=column.description,
            )
            for position, column in enumerate(table.columns, start=1)
        ]
    )


def _iceberg_type(column: Column, element_id: int = 0) -> IcebergType:
    if column.type == "array<bigint>":
        return ListType(element_id, LongType(), element_required=True)
    if column.type == "array<string>":
        return ListType(element_id, StringType(), element_required=False)
    return _TYPES[column.type]


def partition_spec(table: Table, schema: Schema) -> PartitionSpec:
    """Return the Iceberg partitioning of a contract."""
    fields = []
    for position, declared in enumerate(table.partition_by):
        column = partition_column(declared)
        function = declared.partition("(")[0] if "(" in declared else ""
        transform = _TRANSFORMS[function] if function else IdentityTransform()
        name = f"{column}_{function.rstrip('s')}" if function else column
        fields.append(PartitionField(schema.find_field(column).field_id, 1000 + position, transform, name))
    return PartitionSpec(*fields)


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a contract."""
    return pa.schema([pa.field(c.name, _ARROW_TYPES[c.type], nullable=c.nullable) for c in table.columns])
