"""What runs a transform: Spark, or DuckDB in this process for rows that are few enough.

A transform is written once, in words that both read alike; its tests run it on both.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.dataset import Dataset
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

Rows = TypeVar("Rows")
WORDS = (
    "count_if(condition) AS count(*) FILTER (WHERE condition)",
    "struct(a, b) AS {'a': a, 'b': b}, (a, b, c) AS {'a': a, 'b': b, 'c': c},"
    " (a, b, c, d) AS {'a': a, 'b': b, 'c': c, 'd': d}",
    "regexp_like(text, pattern) AS regexp_matches(text, pattern)",
    "collect_set(value) AS coalesce(list(DISTINCT value) FILTER (value IS NOT NULL), [])",
    "max_by(value, rank) AS arg_max_null(value, rank)",
    "min_by(value, rank) AS arg_min_null(value, rank)",
    "size(items) AS len(items)",
    "array_join(items, between) AS array_to_string(items, between)",
    "unix_micros(instant) AS epoch_us(instant)",
    "timestamp_micros(micros) AS make_timestamptz(micros)",
)
"""Functions of Spark, as DuckDB is taught them."""
MEMORY_LIMIT = "1GB"
"""What a query holds in memory at most; more goes to disk."""
MAPPED_ROWS = 1000
"""How many rows a function is given at a time."""
INTERRUPT_SECONDS = 0.5
"""How long after an interruption the next follows: the query may not have begun."""


class Engine(Protocol[Rows]):
    """What queries rows; ``Rows`` are the tables that it takes and gives."""

    def sql(self, query: str, **inputs: Rows) -> Rows:
        """Return what a query selects from inputs, which it calls by the names given here."""
        ...

    def apply_by(
        self, keys: Sequence[str], function: Callable[[pa.Table], pa.Table], rows: Rows, schema: pa.Schema
    ) -> Rows:
        """Return what a function makes of the rows of each value of the keys, all of one at a time."""
        ...

    def explode(self, rows: Rows, lists: Sequence[str]) -> Rows:
        """Return a row for each item of columns that hold lists of one length, with the other columns."""
        ...

    def map(self, function: Callable[[pa.Table], pa.Table], rows: Rows) -> Rows:
        """Return what a function makes of the rows, some at a time: rows with the same columns."""
        ...

    def columns(self, rows: Rows) -> list[str]:
        """Return the names of the columns of rows."""
        ...

    def compute(self, rows: Rows) -> Rows:
        """Return rows that are not computed again, whoever reads them."""
        ...

    def to_arrow(self, rows: Rows) -> pa.Table:
        """Return rows as a table of Arrow, all in memory."""
        ...

    def from_arrow(self, rows: pa.Table) -> Rows:
        """Return the rows of a table of Arrow."""
        ...


@dataclass(frozen=True, slots=True)
class SparkEngine:
    """Spark: rows are its dataframes, and nothing is computed before they are read."""

    spark: SparkSession

    def sql(self, query: str, **inputs: DataFrame) -> DataFrame:
        """See ``Engine``."""
        # Not as common table expressions: Spark's optimizer fails to inline those of queries upon queries.
        named = re.compile(rf"\b(FROM|JOIN)\s+({'|'.join(inputs)})\b(?![.])(\s+AS\b)?", re.IGNORECASE)

        def fill_in(found: re.Match[str]) -> str:
            word, name, alias = found.groups()
            return f"{word} {{{name}}}{alias or f' AS {name}'}"

        return self.spark.sql(named.sub(fill_in, query), None, **inputs)

    def apply_by(
        self,
        keys: Sequence[str],
        function: Callable[[pa.Table], pa.Table],
        rows: DataFrame,
        schema: pa.Schema,
    ) -> DataFrame:
        """See ``Engine``."""
        return rows.groupBy(*keys).applyInArrow(function, from_arrow_schema(schema))

    def explode(self, rows: DataFrame, lists: Sequence[str]) -> DataFrame:
        """See ``Engine``."""
        others = [name for name in rows.columns if name not in lists]
        return rows.select(*others, F.inline(F.arrays_zip(*lists)))

    def map(self, function: Callable[[pa.Table], pa.Table], rows: DataFrame) -> DataFrame:
        """See ``Engine``."""

        def each(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                yield from function(pa.Table.from_batches([batch])).to_batches()

        return rows.mapInArrow(each, rows.schema)  # type: ignore[arg-type]  # stubs ask for Iterable

    def columns(self, rows: DataFrame) -> list[str]:
        """See ``Engine``."""
        return rows.columns

    def compute(self, rows: DataFrame) -> DataFrame:
        """See ``Engine``: the plan of what follows begins with the rows."""
        return rows.localCheckpoint()

    def to_arrow(self, rows: DataFrame) -> pa.Table:
        """See ``Engine``."""
        return rows.toArrow()

    def from_arrow(self, rows: pa.Table) -> DataFrame:
        """See ``Engine``."""
        # The types of a table without rows are not looked at, neither by Spark nor by its Connect client.
        if not rows.num_rows:
            return self.spark.createDataFrame([], from_arrow_schema(rows.schema))
        return self.spark.createDataFrame(rows)


class DuckEngine:
    """DuckDB: inputs are tables of Arrow, or datasets of which it reads the columns that it needs."""

    def sql(self, query: str, **inputs: pa.Table | Dataset) -> pa.Table:
        """See ``Engine``.

        Raises:
            MemoryError: when what cannot go to disk exceeds ``MEMORY_LIMIT``.

        """
        with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
            connection.execute(f"SET temp_directory = '{scratch}'")
            # Rows of Arrow come without counts: an order of joins guessed from none can be far off.
            connection.execute("SET disabled_optimizers = 'join_order'")
            for word in WORDS:
                connection.execute(f"CREATE MACRO {word}")
            for name, rows in inputs.items():
                connection.register(name, rows)
            try:
                return _run(connection, query)
            except duckdb.OutOfMemoryException as error:
                raise MemoryError(str(error).partition("\n")[0]) from error

    def apply_by(
        self,
        keys: Sequence[str],
        function: Callable[[pa.Table], pa.Table],
        rows: pa.Table | Dataset,
        schema: pa.Schema,
    ) -> pa.Table:
        """See ``Engine``."""
        ordered = self.to_arrow(rows).sort_by([(key, "ascending") for key in keys])
        parts = [function(part).cast(schema) for part in _split(ordered, keys)]
        return pa.concat_tables([schema.empty_table(), *parts])

    def explode(self, rows: pa.Table | Dataset, lists: Sequence[str]) -> pa.Table:
        """See ``Engine``: rows in the order of what they come from."""
        return explode(self.to_arrow(rows), lists)

    def map(self, function: Callable[[pa.Table], pa.Table], rows: pa.Table | Dataset) -> pa.Table:
        """See ``Engine``."""
        held = self.to_arrow(rows)
        batches = held.to_batches(max_chunksize=MAPPED_ROWS)
        parts = (function(pa.Table.from_batches([batch])).cast(held.schema) for batch in batches)
        return pa.concat_tables([held.schema.empty_table(), *parts])

    def columns(self, rows: pa.Table | Dataset) -> list[str]:
        """See ``Engine``."""
        return list(rows.schema.names)

    def compute(self, rows: pa.Table | Dataset) -> pa.Table:
        """See ``Engine``."""
        return self.to_arrow(rows)

    def from_arrow(self, rows: pa.Table) -> pa.Table:
        """See ``Engine``."""
        return rows

    def to_arrow(self, rows: pa.Table | Dataset) -> pa.Table:
        """See ``Engine``."""
        # By a query, as that ends when it is interrupted.
        return self.sql("SELECT * FROM held", held=rows) if isinstance(rows, Dataset) else rows


def explode(rows: pa.Table, lists: Sequence[str]) -> pa.Table:
    """Return a row for each item of columns that hold lists of one length, in their order."""
    whole = rows.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(whole[lists[0]]), 0).to_numpy()
    parents = pa.array(np.repeat(np.arange(whole.num_rows), lengths))
    columns = {}
    for name in whole.column_names:
        values = whole[name]
        if name in lists:
            columns[name] = pc.list_flatten(values)
        else:  # the same text comes again and again
            once = values.dictionary_encode() if pa.types.is_string(values.type) else values
            columns[name] = once.take(parents)
    return pa.table(columns)


def _run(connection: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    """Return what a query selects; end it when this thread is interrupted.

    Python handles a signal between two of its steps, and a query is one step of its thread.
    """
    with ThreadPoolExecutor(1) as pool:
        running: Future[pa.Table] = pool.submit(lambda: connection.sql(query).to_arrow_table())
        try:
            return running.result()
        except BaseException:
            while not running.done():
                connection.interrupt()
                wait([running], INTERRUPT_SECONDS)
            raise


def _split(ordered: pa.Table, keys: Sequence[str]) -> list[pa.Table]:
    """Return the rows of each value of the keys, by which they are sorted."""
    if not ordered.num_rows:
        return []
    begins = np.zeros(ordered.num_rows - 1, dtype=bool)
    for key in keys:
        values = ordered[key].combine_chunks()
        begins |= pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    bounds = [0, *(np.flatnonzero(begins) + 1), ordered.num_rows]
    return [ordered.slice(start, end - start) for start, end in pairwise(bounds)]
