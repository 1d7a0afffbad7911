"""Which rows break a rule about single rows, so that they can be set aside and the rest published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cilake.lake.literals import listed, quoted

_Kwargs = dict[str, Any]


def _is_between(column: str, min_value: float | None = None, max_value: float | None = None, **_: Any) -> str:
    limits = [f"{column} >= {min_value}"] if min_value is not None else []
    limits += [f"{column} <= {max_value}"] if max_value is not None else []
    return " AND ".join(limits) or "true"


_HELD: dict[str, Callable[[_Kwargs], str]] = {
    "expect_column_values_to_not_be_null": lambda rule: f"{rule['column']} IS NOT NULL",
    "expect_column_values_to_be_in_set": lambda rule: f"{rule['column']} IN {listed(rule['value_set'])}",
    "expect_column_values_to_be_between": lambda rule: _is_between(**rule),
    "expect_rows_to_satisfy": lambda rule: str(rule["condition"]),
}
"""The condition of the rows that keep a rule about single rows, by its kind, as both engines read it."""


def is_row_rule(entry: Mapping[str, Any]) -> bool:
    """Return whether the rule is about each row by itself, and must hold in every one."""
    return entry["type"] in _HELD and "mostly" not in entry["kwargs"]


def condition(kind: str, kwargs: _Kwargs) -> str | None:
    """Return the condition of the rows that keep a rule, in SQL; ``None`` if it is not about single rows."""
    return _HELD[kind](kwargs) if kind in _HELD else None


def select_broken(suite: Iterable[Mapping[str, Any]]) -> str:
    """Return the query of ``checked`` rows that break a critical row rule: the first is ``broken_rule``."""
    rules = [rule for rule in suite if rule["severity"] == "critical" and is_row_rule(rule)]
    # What is unknown for nulls breaks no rule.
    cases = " ".join(
        f"WHEN NOT coalesce(({_HELD[rule['type']](rule['kwargs'])}), true) THEN {quoted(rule['id'])}"
        for rule in rules
    )
    marked = f"SELECT *, CASE {cases} END AS broken_rule FROM checked"  # noqa: S608 - rules are ours
    return f"SELECT * FROM ({marked}) AS marked WHERE broken_rule IS NOT NULL"  # noqa: S608 - rules are ours
