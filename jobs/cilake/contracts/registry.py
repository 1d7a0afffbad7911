"""All tables of the lake, found by their address and ordered by their inputs."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from graphlib import TopologicalSorter

import cilake.contracts as contracts
from cilake.contracts.model import NAMESPACES, ContractError, Table


@cache
def tables() -> dict[str, Table]:
    """Return every declared table by address, inputs before the tables made from them."""
    found: dict[str, Table] = {}
    for namespace in NAMESPACES:
        for path in contracts.__path__:
            for module in pkgutil.iter_modules([f"{path}/{namespace}"]):
                declared = importlib.import_module(f"{contracts.__name__}.{namespace}.{module.name}")
                table: Table = declared.TABLE
                if table.address != f"{namespace}.{module.name}":
                    raise ContractError(f"{declared.__name__} declares {table.address}")
                found[table.address] = table
    for table in found.values():
        if unknown := sorted({*table.inputs, *table.feeds} - set(found)):
            raise ContractError(f"{table.address}: unknown inputs or tables that it feeds: {unknown}")
    order = TopologicalSorter({address: _inputs(found, found[address]) for address in sorted(found)})
    return {address: found[address] for address in order.static_order()}


def inputs_of(table: Table) -> tuple[str, ...]:
    """Return the addresses of the tables that a table is made from, those that feed it at last."""
    return _inputs(tables(), table)


def _inputs(found: dict[str, Table], table: Table) -> tuple[str, ...]:
    return (*table.inputs, *sorted(one.address for one in found.values() if table.address in one.feeds))


def table(address: str) -> Table:
    """Return the table at ``address``; raises ``KeyError`` with the known addresses when there is none."""
    try:
        return tables()[address]
    except KeyError:
        known = ", ".join(sorted(tables()))
        raise KeyError(f"no table {address!r}; known tables: {known}") from None


def made_by(step: str) -> list[Table]:
    """Return the tables that a step makes, inputs before what is made from them.

    Each step of a verb makes its rows of the tables that are made by the verb alone.
    """
    verb = step.partition("_")[0]
    return [table for table in tables().values() if table.made_by in (step, verb)]
