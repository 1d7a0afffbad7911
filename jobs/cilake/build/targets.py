"""What a step makes of tables that follow from other tables: which rows, from which inputs, on which days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from cilake.contracts.model import Table
from cilake.contracts.rebuild import Rebuild
from cilake.contracts.registry import made_by, tables
from cilake.contracts.registry import table as contract

MODEL_NAME = "model_name"


@dataclass(frozen=True, slots=True)
class Target:
    """What a step makes of a table: all rows, or in a table that models share those of the model ``part``.

    ``inputs`` are the tables that it is made from, by the argument of the transform that takes each.
    """

    table: Table
    part: str
    inputs: Mapping[str, Table]

    @property
    def rule(self) -> Rebuild:
        """What is made again when inputs change."""
        if self.table.rebuild is None:
            raise TypeError(f"{self.table.address} does not say what is made again when its inputs change")
        return self.table.rebuild

    @property
    def where(self) -> str:
        """The SQL condition that all its rows meet."""
        return f"{MODEL_NAME} = {self.part!r}" if self.part else "true"

    @property
    def about(self) -> list[Table]:
        """The inputs that its rows are about: on days without a row of these it has none."""
        fed = [one for one in self.inputs.values() if self.table.address in one.feeds]
        return [one for one in self.inputs.values() if one.address in self.rule.about] or fed


def targets_of(step: str, chosen: Iterable[Table] | None = None) -> list[Target]:
    """Return what a step makes, or of it the ``chosen`` tables, inputs before what is made from them."""
    picked = [table for table in made_by(step) if table.rebuild and (chosen is None or table in chosen)]
    return [_target(table, _part_of(table, step)) for table in picked]


def affected_periods(target: Target, source: Table, days: Iterable[date], among: list[Target]) -> list[date]:
    """Return the periods of a target that follow from rows of these days in a table.

    Also those that follow by way of tables that the same step makes.
    """
    found: set[date] = set()
    own = {one.table: one for one in among}
    for one in target.inputs.values():
        if one is source:
            found.update(target.rule.affected_by(days, one.address))
        elif one in own:
            between = own[one].rule.days_of(affected_periods(own[one], source, days, among))
            found.update(target.rule.affected_by(between, one.address))
    return sorted(found)


def watched_by(target: Target, among: list[Target]) -> list[Table]:
    """Return the tables whose changes a target follows, also by way of tables that the same step makes."""
    own = {one.table: one for one in among}
    watched: dict[Table, None] = {}
    for one in target.inputs.values():
        if one in own:
            watched |= dict.fromkeys(watched_by(own[one], among))
        elif one.change_columns:
            watched[one] = None
    return list(watched)


def _part_of(table: Table, step: str) -> str:
    """Return the model of whose rows a step makes a table, empty where it makes all of them.

    It is that of the step, or where this is of no model that of the predictions that the rows tell of.
    """
    if MODEL_NAME not in table.column_names:
        return ""
    about = table.rebuild.about if table.rebuild else ()
    return (contract(about[0]).made_by if about else step).partition("_")[2]


def _target(table: Table, part: str) -> Target:
    inputs = {contract(address).name: contract(address) for address in table.inputs}
    feeding = [one for one in tables().values() if table.address in one.feeds] if part else []
    for one in feeding:
        if one.made_by.partition("_")[2] == part:
            inputs[one.name.removeprefix(part).lstrip("_") or one.namespace] = one
    return Target(table, part, inputs)
