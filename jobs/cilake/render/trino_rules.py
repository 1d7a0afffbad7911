"""Trino's access rules: analysts read what the contracts call public, operators everything, nobody writes.

Trino tries the rules of a section from top to bottom, and the first that matches decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cilake.contracts.model import Table

ANALYSTS, OPERATORS = "analysts", "operators"
CATALOGS = "lake|system"
PAYLOADS = "raw"
"""The namespace of payloads as received, which analysts are refused: nobody has looked into them."""

_TRINO_TYPES = {
    "string": "varchar",
    "int": "integer",
    "timestamp": "timestamp(6) with time zone",
    "binary": "varbinary",
}

Rule = dict[str, Any]


def rules(tables: Iterable[Table]) -> dict[str, list[Rule]]:
    """Return the rules for these tables."""
    read = {"privileges": ["SELECT"]}
    analysts = {"group": ANALYSTS}
    masked = [rule for table in sorted(tables, key=_address) for rule in _masked(table)]
    return {
        "catalogs": [
            {"group": f"{ANALYSTS}|{OPERATORS}", "catalog": CATALOGS, "allow": "read-only"},
            {"catalog": ".*", "allow": "none"},
        ],
        "schemas": [{"owner": False}],
        "tables": [
            {"group": OPERATORS, "catalog": CATALOGS, **read},
            *[analysts | rule for rule in masked],
            {**analysts, "catalog": "lake", "schema": PAYLOADS, "privileges": []},
            {**analysts, "catalog": CATALOGS, **read},
            {"privileges": []},
        ],
        "procedures": [],
        "functions": [],
        "queries": [
            {"group": OPERATORS, "allow": ["execute", "view", "kill"]},
            {"group": ANALYSTS, "allow": ["execute"]},
        ],
        "impersonation": [{"original_user": ".*", "new_user": ".*", "allow": False}],
        "system_information": [{"user": ".*", "allow": []}],
    }


def masked_columns(table: Table) -> list[str]:
    """Return the columns of a table of which analysts see nulls."""
    return [column.name for column in table.columns if column.sensitivity != "public"]


def write_rules(path: Path, tables: Mapping[str, Table]) -> bool:
    """Write the rules into the file unless it holds them; return whether it changed."""
    text = json.dumps(rules(tables.values()), indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


def _masked(table: Table) -> list[Rule]:
    types = {column.name: column.type for column in table.columns}
    columns = [
        {"name": name, "mask": f"cast(null as {_trino_type(types[name])})"} for name in masked_columns(table)
    ]
    if not columns or table.namespace == PAYLOADS:
        return []
    where = {"catalog": "lake", "schema": table.namespace}
    return [
        {**where, "table": table.name, "privileges": ["SELECT"], "columns": columns},
        # The tables about a table hold bounds of its columns' values.
        {**where, "table": f"{re.escape(table.name)}\\$.*", "privileges": []},
    ]


def _trino_type(name: str) -> str:
    element = re.fullmatch(r"array<(\w+)>", name)
    return f"array({_trino_type(element[1])})" if element else _TRINO_TYPES.get(name, name)


def _address(table: Table) -> str:
    return table.address
