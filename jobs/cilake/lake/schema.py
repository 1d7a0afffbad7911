"""From a contract to what Spark needs: column types, the conforming select and checksums of rows."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.model import Table
from cilake.lake.catalog import arrow_schema


def conform(rows: DataFrame | pa.Table, table: Table) -> DataFrame | pa.Table:
    """Return the rows with exactly the contract's columns, in order and cast to their types.

    Raises:
        ValueError: naming columns the rows lack or the contract does not know.

    """
    names = rows.column_names if isinstance(rows, pa.Table) else rows.columns
    missing = sorted(set(table.column_names) - set(names))
    unknown = sorted(set(names) - set(table.column_names))
    if missing or unknown:
        raise ValueError(f"{table.address}: missing columns {missing}, unknown columns {unknown}")
    if isinstance(rows, pa.Table):
        return rows.select(table.column_names).cast(arrow_schema(table))
    return rows.select([F.col(column.name).cast(column.type).alias(column.name) for column in table.columns])


def checksum(table: Table) -> Column:
    """Return a number of a row's contents: equal sums of it are equal rows, whatever their order."""
    # Hashing skips nulls, so which values are null is hashed too.
    nulls = [F.col(column.name).isNull() for column in table.columns if column.nullable]
    return F.xxhash64(*table.column_names, *nulls).cast("decimal(38,0)")


def differing_keys(rows: DataFrame, others: DataFrame, table: Table, key: str) -> DataFrame:
    """Return the values of a column whose rows in two frames of the table are not the same."""
    signed = [
        frame.select(key, F.lit(sign).alias("sign"), (checksum(table) * sign).alias("checksum"))
        for frame, sign in ((rows, 1), (others, -1))
    ]
    sums = signed[0].unionByName(signed[1]).groupBy(key).agg(F.sum("sign"), F.sum("checksum"))
    return sums.toDF(key, "count", "total").where("count <> 0 OR total <> 0").select(key)
