"""Conditions on columns: what PyIceberg reads, minus what it would misunderstand."""

from __future__ import annotations

from collections.abc import Iterator

from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, Not, Or, UnboundPredicate, parser
from pyiceberg.expressions.literals import DecimalLiteral, Literal, StringLiteral
from pyparsing import ParseException

from cilake.client.query import LakeError, check_columns
from cilake.contracts.model import Table


def parse_condition(table: Table, where: str) -> BooleanExpression:
    """Return the condition that ``where`` states about columns of the table; without one, all rows.

    Raises:
        LakeError: when it cannot be read, or compares a column with what would be silently misread.

    """
    if not where.strip():
        return AlwaysTrue()
    try:
        condition = parser.parse(where)
    except ParseException as error:
        # From the first character on means somewhere: no alternative could be read to its end.
        position = f" from character {error.column} on" if error.column > 1 else ""
        raise LakeError(f"cannot read the condition {where!r}{position}", "where") from None
    except ValueError as error:
        raise refuse_condition(where, error) from None
    for predicate in _predicates(condition):
        _check_values(table, predicate, where)
    return condition


def refuse_condition(where: str, reason: object) -> LakeError:
    """Return the error that says why a condition does not fit the table."""
    return LakeError(f"cannot read where {where!r}: {' '.join(str(reason).split())}", "values")


def _predicates(condition: BooleanExpression) -> Iterator[UnboundPredicate]:
    if isinstance(condition, And | Or):
        yield from _predicates(condition.left)
        yield from _predicates(condition.right)
    elif isinstance(condition, Not):
        yield from _predicates(condition.child)
    elif isinstance(condition, UnboundPredicate):
        yield condition


def _check_values(table: Table, predicate: UnboundPredicate, where: str) -> None:
    """Check the values that a column is compared with: PyIceberg rounds fractions, counts days from 1970."""
    name = predicate.term.name  # type: ignore[attr-defined]
    check_columns(table, [name])
    kind = table.column(name).type
    for value in _values(predicate):
        if kind in ("date", "timestamp") and not isinstance(value, StringLiteral):
            raise refuse_condition(where, f"{name} is a {kind}, which is written in quotes")
        if kind in ("bigint", "int") and isinstance(value, DecimalLiteral) and value.value % 1:
            raise refuse_condition(where, f"{name} holds whole numbers and {value.value} is none")


def _values(predicate: UnboundPredicate) -> list[Literal]:  # type: ignore[type-arg]
    if hasattr(predicate, "literals"):
        return list(predicate.literals)
    return [predicate.literal] if hasattr(predicate, "literal") else []
