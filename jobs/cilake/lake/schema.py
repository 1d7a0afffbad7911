"""From a contract to what Spark needs: column types and the conforming select."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.contracts.model import Table


def conform(rows: DataFrame, table: Table) -> DataFrame:
    """The rows with exactly the contract's columns, in order and cast to their types.

    Raises:
        ValueError: naming columns the rows lack or the contract does not know.

    """
    missing = sorted(set(table.column_names) - set(rows.columns))
    unknown = sorted(set(rows.columns) - set(table.column_names))
    if missing or unknown:
        raise ValueError(f"{table.address}: missing columns {missing}, unknown columns {unknown}")
    return rows.select([F.col(column.name).cast(column.type).alias(column.name) for column in table.columns])
