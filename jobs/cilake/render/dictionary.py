"""The data dictionary: one generated page per table, and indexes of tables and columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from cilake.contracts import registry
from cilake.contracts.model import NAMESPACES, Column, Table
from cilake.quality import suite

_GENERATED = "<!-- Generated from the contracts and the expectations by `cilake docs`; do not edit. -->"
_MEANINGS = {
    "raw": "what was received",
    "core": "conformed facts, whatever system they came from",
    "kpi": "results for people",
    "features": "inputs of models",
    "predictions": "what models predicted, and what happened",
    "ops": "the platform's own records",
}


def write_docs(root: Path) -> list[Path]:
    """Write the pages that differ under ``root`` (the dictionary's folder, ``docs/tables``); return them."""
    stale = check_docs(root)
    pages = _pages(root)
    for path in stale:
        if path in pages:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages[path], encoding="utf-8")
        else:
            path.unlink()
    return stale


def check_docs(root: Path) -> list[Path]:
    """Return the pages under ``root`` that are missing, surplus or differ from what the contracts say."""
    pages = _pages(root)
    missing = [
        path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    return missing + sorted(path for path in root.rglob("*.md") if path not in pages)


def render_table(table: Table) -> str:
    """Return the Markdown page of a table."""
    sections = [
        f"# {table.title}\n\n{_GENERATED}\n\n`{table.address}`: {table.grain}\n\n{table.description}",
        _facts(table),
        _section("Caveats", "\n".join(f"- {caveat}" for caveat in table.caveats)),
        _section("Columns", _columns(table)),
        _section("Lineage", _lineage(table)),
        _section("Expectations", _expectations(table)),
        _section("Example", f"```sql\n{table.example_query}\n```" if table.example_query else ""),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def render_index() -> str:
    """Return the Markdown list of all tables by namespace."""
    parts = [f"# Tables\n\n{_GENERATED}\n\nAll columns by name: [columns](columns.md)."]
    for namespace in NAMESPACES:
        tables = [table for table in registry.tables().values() if table.namespace == namespace]
        if tables:
            rows = [
                [f"[{t.address}]({namespace}/{t.name}.md)", t.title, t.grain] for t in _by_address(tables)
            ]
            heading = f"## {namespace}\n\n{_MEANINGS[namespace].capitalize()}."
            parts.append(f"{heading}\n\n{_grid(['table', 'title', 'grain'], rows)}")
    return "\n\n".join(parts) + "\n"


def render_columns() -> str:
    """Return the Markdown list of all columns by name, with their tables: one meaning has one name."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for table in _by_address(registry.tables().values()):
        for column in table.columns:
            link = f"[{table.address}]({table.namespace}/{table.name}.md)"
            found[column.name, column.type, column.description].append(link)
    rows = [
        [f"`{name}`", kind, text, ", ".join(links)] for (name, kind, text), links in sorted(found.items())
    ]
    return f"# Columns\n\n{_GENERATED}\n\n{_grid(['column', 'type', 'meaning', 'tables'], rows)}\n"


def _pages(root: Path) -> dict[Path, str]:
    pages = {root / t.namespace / f"{t.name}.md": render_table(t) for t in registry.tables().values()}
    return pages | {root / "README.md": render_index(), root / "columns.md": render_columns()}


def _facts(table: Table) -> str:
    facts = [
        ("Made by", table.made_by),
        ("Made again", _periods(table)),
        (
            "Freshness",
            f"newest row at most {table.freshness_hours} hours old" if table.freshness_hours else "",
        ),
        ("Key", _names(table.primary_key)),
        ("Partitioned by", _names(table.partition_by)),
        ("Sorted by", _names(table.sort_by)),
        ("Written by", table.write_mode.replace("_", " ")),
        ("Contract version", table.version),
    ]
    return _grid(["fact", "value"], [[name, value] for name, value in facts if value])


def _periods(table: Table) -> str:
    """Return in words what is made again when an input changes; nothing where the contract does not say."""
    if (rebuild := table.rebuild) is None:
        return ""
    unit = "day" if rebuild.period_days == 1 else "week"
    before = f" and the {rebuild.lookback_days} days before it" if rebuild.lookback_days else ""
    return f"by {unit}s (`{rebuild.column}`), from the rows of the {unit}{before}"


def _columns(table: Table) -> str:
    heads = ["column", "type", "null", "unit", "meaning", "allowed values", "example", "sensitivity"]
    return _grid(heads, [_column_row(table, column) for column in table.columns])


def _column_row(table: Table, column: Column) -> list[str]:
    mark = " (key)" if column.name in table.primary_key else ""
    example = "" if column.example is None else f"`{_value(column.example)}`"
    return [
        f"`{column.name}`{mark}",
        column.type,
        "yes" if column.nullable else "no",
        column.unit or "",
        column.description,
        _names(column.allowed),
        example,
        column.sensitivity,
    ]


def _lineage(table: Table) -> str:
    consumers = [other for other in registry.tables().values() if table.address in registry.inputs_of(other)]
    edges = [(source, table.address) for source in registry.inputs_of(table)]
    edges += [(table.address, other.address) for other in consumers]
    lines = [
        f"- Inputs: {_links(registry.inputs_of(table)) or 'none, it is written by the platform itself'}",
        f"- Consumers: {_links(sorted(other.address for other in consumers)) or 'none in the lake'}",
    ]
    if edges:
        graph = [f'  {_node(start)}["{start}"] --> {_node(end)}["{end}"]' for start, end in edges]
        lines += ["", "```mermaid", "flowchart LR", *graph, "```"]
    return "\n".join(lines)


def _expectations(table: Table) -> str:
    if not table.is_audited:
        return (
            "Rows are appended as they come. A batch is refused where it breaks the contract: a null that is "
            "not allowed, a value outside the list, a negative count, one key twice."
        )
    rows = [
        [
            entry["id"],
            entry["severity"],
            entry["notes"],
            "contract" if suite.is_generated(entry) else "by hand",
            f"`{_rule(entry)}`",
        ]
        for entry in sorted(suite.read(table), key=suite.is_generated)
    ]
    text = "A failed critical rule blocks publishing; a warning publishes and is reported."
    return f"{text}\n\n{_grid(['rule', 'severity', 'reason', 'origin', 'check'], rows)}"


def _rule(entry: suite.Entry) -> str:
    kwargs = entry["kwargs"]
    text = kwargs.get("condition") or kwargs.get("unexpected_rows_query")
    share = f" (in {kwargs['mostly']:.0%} of the rows)" if "mostly" in kwargs else ""
    if not text:
        kind = entry["type"].removeprefix("expect_").replace("_", " ")
        # The table of columns above already shows these lists.
        limits = {k: v for k, v in kwargs.items() if k not in ("column", "column_list", "value_set")}
        text = " ".join([kwargs.get("column", ""), kind, *(f"{k}={v}" for k, v in limits.items())]).strip()
    return f"{text}{share}"


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _grid(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def _names(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _links(addresses: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"[{address}](../{address.replace('.', '/')}.md)" for address in addresses)


def _node(address: str) -> str:
    return address.replace(".", "_")


def _value(value: object) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _by_address(tables: Iterable[Table]) -> list[Table]:
    return sorted(tables, key=lambda table: table.address)
