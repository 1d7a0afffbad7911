"""Which rows break a rule about single rows, so that they can be set aside and the rest published."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from cilake.contracts.model import Table
from cilake.quality import suite

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_Kwargs = dict[str, Any]


def _is_between(rule: _Kwargs) -> Column:
    value, held = F.col(rule["column"]), F.lit(True)
    if rule.get("min_value") is not None:
        held = held & (value >= rule["min_value"])
    if rule.get("max_value") is not None:
        held = held & (value <= rule["max_value"])
    return held


_HELD: dict[str, Callable[[_Kwargs], Column]] = {
    "expect_column_values_to_not_be_null": lambda rule: F.col(rule["column"]).isNotNull(),
    "expect_column_values_to_be_in_set": lambda rule: F.col(rule["column"]).isin(rule["value_set"]),
    "expect_column_values_to_be_between": _is_between,
    "expect_column_values_to_match_regex": lambda rule: F.col(rule["column"]).rlike(rule["regex"]),
    "expect_rows_to_satisfy": lambda rule: F.expr(rule["condition"]),
}


def is_row_rule(entry: suite.Entry) -> bool:
    """Return whether the rule is about each row by itself, and must hold in every one."""
    return entry["type"] in _HELD and "mostly" not in entry["kwargs"]


def find_broken(table: Table, rows: DataFrame) -> DataFrame:
    """Return the rows that break a critical row rule, with the id of the first one in ``broken_rule``."""
    rules = [rule for rule in suite.read(table) if rule["severity"] == "critical" and is_row_rule(rule)]
    broken = [F.when(~_held(rule), F.lit(rule["id"])) for rule in rules]
    return rows.withColumn("broken_rule", F.coalesce(*broken)).where("broken_rule IS NOT NULL")


def _held(rule: suite.Entry) -> Column:
    """Return whether a row keeps the rule; what is unknown for nulls breaks none."""
    return F.coalesce(_HELD[rule["type"]](rule["kwargs"]), F.lit(True))
