"""The data changelog: what changed for those who read tables, as a diff of contracts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cilake.contracts.model import Table
from cilake.contracts.registry import tables

GENERATED = "<!-- Generated from docs/data-baseline.json and the contracts by `cilake docs`; do not edit. -->"
BASELINE = "data-baseline.json"
PAGE = "data-changelog.md"
_FACTS = ("grain", "primary_key", "partition_by", "made_by")
_OF_COLUMNS = ("type", "nullable", "unit", "allowed", "sensitivity")


def snapshot(declared: Mapping[str, Table] | None = None) -> dict[str, Any]:
    """Return what readers of the tables rely on, by address, as it can be stored."""
    return {
        address: {
            **{name: _plain(getattr(table, name)) for name in _FACTS},
            "columns": {
                column.name: {name: _plain(getattr(column, name)) for name in _OF_COLUMNS}
                for column in table.columns
            },
        }
        for address, table in sorted((tables() if declared is None else declared).items())
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what differs between two snapshots, table by table."""
    for address in sorted(before.keys() | after.keys()):
        if address not in after:
            yield f"`{address}` is gone"
        elif address not in before:
            yield f"`{address}` is new"
        else:
            yield from (f"`{address}`: {text}" for text in _of_table(before[address], after[address]))


def render_changelog(folder: Path) -> str:
    """Return the page of what has changed since the baseline that is stored in the folder."""
    baseline = json.loads((folder / BASELINE).read_text(encoding="utf-8"))
    lines = [f"- {text}" for text in differences(baseline["tables"], snapshot())]
    head = [
        "# Data changelog",
        GENERATED,
        f"What has changed in the tables since {baseline['name']}, for those who read them. A name that is "
        "gone needs a change in queries; a key or a grain that changed needs a second look at joins.",
    ]
    return "\n\n".join([*head, "\n".join(lines) or "Nothing."]) + "\n"


def new_baseline(name: str) -> str:
    """Return the text of a baseline of the tables as they are, such as for a release."""
    return json.dumps({"name": name, "tables": snapshot()}, indent=1, sort_keys=True) + "\n"


def _of_table(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in _FACTS:
        if before[name] != after[name]:
            yield f"{name.replace('_', ' ')} was {_word(before[name])}, is {_word(after[name])}"
    old, new = before["columns"], after["columns"]
    for column in sorted(old.keys() | new.keys()):
        if column not in new:
            yield f"column `{column}` is gone"
        elif column not in old:
            yield f"column `{column}` is new"
        else:
            for name in _OF_COLUMNS:
                if old[column][name] != new[column][name]:
                    was, now = _word(old[column][name]), _word(new[column][name])
                    yield f"column `{column}`: {name} was {was}, is {now}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _word(value: object) -> str:
    if isinstance(value, list) and value:
        return f"({', '.join(map(str, value))})"
    return "none" if value in (None, "", []) else str(value)
