"""The page of the DAGs: what each does, when it runs, what it writes and what to do when it is red."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

from cilake.contracts.model import Table
from cilake.contracts.registry import made_by, tables

GENERATED = "<!-- Generated from dags/ and the contracts by `cilake docs`; do not edit. -->"
_CLOCK = {
    "each_day": "every day at 00:00 UTC, for the day that ended",
    "each_morning": "every day at 04:00 UTC, for the day that ended",
    "each_week": "every Monday at 06:00 UTC",
}


def render_dags(folder: Path) -> str:
    """Return the Markdown page of the DAG files in a folder, in the order in which a night runs them."""
    order = list(dict.fromkeys(table.made_by for table in tables().values()))
    files = sorted(folder.glob("*.py"), key=lambda path: (_rank(path.stem, order), path.stem))
    pages = [_read(path) for path in files]
    head = [
        "# The DAGs",
        f"{GENERATED}",
        "What runs when and what it writes; [running them](running-dags.md) is about days, backfills and "
        "retries. Every build also appends its checks to `ops.validation_results`.",
        "| DAG | runs | writes | tier |\n| --- | --- | --- | --- |\n"
        + "\n".join(
            f"| [`{name}`](#{name}) | {runs} | {', '.join(map(_link, made_by(name))) or '–'} | {tier} |"
            for name, runs, tier, _ in pages
        ),
    ]
    return "\n\n".join([*head, *(f"## {name}\n\n{doc}" for name, _, _, doc in pages)]) + "\n"


def _rank(step: str, order: list[str]) -> int:
    return order.index(step) if step in order else len(order)


def _read(path: Path) -> tuple[str, str, str, str]:
    """Return of a DAG file its id, when it runs, its tier and its text."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    call = next(
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "job_dag"
    )
    options = {one.arg: one.value for one in call.keywords if one.arg}
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", (ast.get_docstring(module) or "").strip())
    return path.stem, _schedule(options, path.stem), ast.unparse(options["tier"]), text


def _schedule(options: Mapping[str, ast.expr], step: str) -> str:
    schedule = options["schedule"]
    if not isinstance(schedule, ast.Call) or not isinstance(schedule.func, ast.Name):
        raise TypeError(f"{step}: a schedule is a function of the DAG kit")
    if schedule.func.id in _CLOCK:
        return _CLOCK[schedule.func.id]
    if schedule.func.id == "after_feeding":
        made = {table.address for table in made_by(step)}
        followed = [one.address for one in tables().values() if made & set(one.feeds)]
    else:
        followed = [ast.literal_eval(one) for one in schedule.args]
    return f"when {' or '.join(f'`{address}`' for address in followed)} is new for a day"


def _link(table: Table) -> str:
    return f"[`{table.address}`](tables/{table.namespace}/{table.name}.md)"
