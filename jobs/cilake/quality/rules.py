"""Two Great Expectations rule kinds of our own, made for large batches; importing this module registers them.

In Spark all conditions of a suite become one aggregate over the batch together with the built-in column
rules, which is why a condition is preferred wherever a rule is about one row. Small batches are
checked by pandas and DuckDB: conditions and queries are in words that DuckDB and Spark read alike (a test).
"""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import PandasExecutionEngine, SparkDFExecutionEngine
from great_expectations.expectations.core import UnexpectedRowsExpectation
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value
from great_expectations.expectations.metrics.query_metric_provider import QueryMetricProvider
from pyspark.sql import functions as F

from cilake.quality import arrow_batch


class RowsSatisfy(ColumnMapMetricProvider):
    """The share of rows in which a SQL condition is true or unknown, as in a SQL CHECK."""

    condition_metric_name = "rows.satisfy"
    condition_value_keys = ("condition",)
    filter_column_isnull = False

    @column_condition_partial(engine=SparkDFExecutionEngine)
    def _spark(cls, column: Any, condition: str, **_: Any) -> Any:
        # A null condition is no evidence against the row: nullability has its own rules.
        return F.coalesce(F.expr(condition), F.lit(True))

    @metric_partial(
        engine=PandasExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.MAP_CONDITION_SERIES,
        domain_type=MetricDomainTypes.COLUMN,
    )
    def _pandas(cls, execution_engine: Any, metric_domain_kwargs: Any, **given: Any) -> Any:
        rows, domain, column = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.COLUMN
        )
        broken = ~arrow_batch.hold(given["metric_value_kwargs"]["condition"])
        return pd.Series(broken, rows.index), domain, column


class RowsOfQuery(QueryMetricProvider):
    """The rows that a query over a batch outside Spark returns, as the built-in metric does in Spark."""

    metric_name = "unexpected_rows_query.table"
    value_keys = ("unexpected_rows_query",)
    query_param_name: ClassVar[str] = "unexpected_rows_query"

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(cls, metric_value_kwargs: dict[str, Any], **_: Any) -> list[dict[str, Any]]:
        return arrow_batch.select(metric_value_kwargs["unexpected_rows_query"].format(batch="batch"))


class ExpectRowsToSatisfy(ColumnMapExpectation):
    """Expect a SQL condition to hold in every row (or in the share ``mostly`` of them).

    ``column`` must be never null, best a key: shares are over the rows in which it is set. ``column_list``
    names the columns the condition reads, shown in examples. It is a column rule and not a multi-column one
    because Great Expectations scans the batch once more for each of those.
    """

    column_list: list[str]
    condition: str

    map_metric = "rows.satisfy"
    success_keys: ClassVar[tuple[str, ...]] = ("condition", "mostly")
    args_keys = ("column", "condition")


class ExpectNoRows(UnexpectedRowsExpectation):
    """Expect a query over ``{batch}`` to return nothing; it should end with a small ``limit``.

    The built-in rule runs its query twice, once to count and once to show. This one runs it once.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> Any:
        rows = metrics["unexpected_rows_query.table"]
        counted = {**metrics, "unexpected_rows_query.row_count": len(rows)}
        return super()._validate(counted, runtime_configuration, execution_engine)
