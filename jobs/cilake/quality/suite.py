"""The suite of every table: rules generated from its contract and rules written by hand, in one file.

``expectations/<namespace>/<table>.json`` is a Great Expectations suite. Entries with ``meta.origin`` equal to
``contract`` are rewritten by :func:`write_suites`; the others are kept as written.
"""

from __future__ import annotations

import json
import sysconfig
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

from cilake.contracts import registry
from cilake.contracts.model import Column, Table
from cilake.errors import PermanentError

Entry = dict[str, Any]

SEVERITIES = ("critical", "warning", "info")
NO_ROWS = "expect_no_rows"

SUITES_DIR = Path(__file__).resolve().parents[3] / "expectations"
"""Where the suites are written; elsewhere they are only read."""


class SuiteError(PermanentError, ValueError):
    """A suite file that is missing or cannot be used; the message names it and the way out."""


def suites_folder() -> Traversable:
    """Return the folder of the suites: the checkout's, that in the zip for clusters, or the installed one."""
    zipped = files("cilake") / "expectations"
    installed = Path(sysconfig.get_path("data"), "share/cilake/expectations")
    candidates: tuple[Traversable, ...] = (SUITES_DIR, zipped)
    return next((folder for folder in candidates if folder.is_dir()), installed)


def audited_tables() -> dict[str, Table]:
    """Return the tables that have a suite, by address."""
    return {address: table for address, table in registry.tables().items() if table.is_audited}


def suite_path(table: Table, root: Path = SUITES_DIR) -> Path:
    """Return the path of the table's suite file below the folder of suites."""
    return root / table.namespace / f"{table.name}.json"


def generate(table: Table) -> list[Entry]:
    """Return the rules that follow from the contract, in a fixed order."""
    entries = [
        _entry(
            "columns",
            "expect_table_columns_to_match_ordered_list",
            {"column_list": table.column_names},
            "The contract declares these columns in this order.",
        )
    ]
    for column in table.columns:
        entries.extend(_column_entries(column))
    entries.append(_key_entry(table))
    if not table.may_be_empty:
        entries.append(
            _entry(
                "not_empty",
                "expect_table_row_count_to_be_between",
                {"min_value": 1},
                "An empty batch is more often a broken input than a quiet day.",
                severity="warning",
            )
        )
    return entries


def read(table: Table, root: Traversable | None = None) -> list[Entry]:
    """Return all rules of the table's suite file, in order.

    Raises:
        SuiteError: when the file is missing, is not JSON or holds an incomplete rule.

    """
    path = (root or suites_folder()) / table.namespace / f"{table.name}.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["expectations"]
    except FileNotFoundError:
        raise SuiteError(f"{path}: no suite for {table.address}; write it with `cilake docs`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SuiteError(f"{path}: not a suite: {error}") from error
    seen: set[str] = set()
    for entry in entries:
        name = entry.get("id")
        if not name or name in seen:
            raise SuiteError(f"{path}: each rule needs its own id, found {name!r}")
        if entry.get("severity") not in SEVERITIES or not entry.get("notes"):
            raise SuiteError(f"{path}: rule {name} needs a reason in `notes` and a severity of {SEVERITIES}")
        seen.add(name)
    return cast(list[Entry], entries)


def is_generated(entry: Entry) -> bool:
    """Return whether the rule comes from the contract."""
    return bool(entry.get("meta", {}).get("origin") == "contract")


def load(table: Table, root: Traversable | None = None) -> Any:
    """Return the table's Great Expectations suite: generated and hand-written rules together."""
    return build(table.address, read(table, root))


def build(name: str, entries: list[Entry]) -> Any:
    """Return a Great Expectations suite of these rules."""
    # Importing Great Expectations takes seconds; writing suites and documents does not need it.
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    import cilake.quality.rules  # noqa: F401 - registers our rule kind

    suite = ExpectationSuite(name=name)
    suite.expectations = [ExpectationConfiguration(**entry).to_domain_obj() for entry in entries]
    return suite


def render(table: Table, root: Path = SUITES_DIR) -> str:
    """Return the text of the table's suite file: the hand-written rules, then fresh generated ones."""
    path = suite_path(table, root)
    written = [entry for entry in read(table, root) if not is_generated(entry)] if path.exists() else []
    suite = {"name": table.address, "expectations": written + generate(table)}
    return json.dumps(suite, indent=2, ensure_ascii=False) + "\n"


def write_suites(root: Path = SUITES_DIR) -> list[Path]:
    """Update the generated part of each suite file; return the files that changed."""
    changed = stale_suites(root)
    for table in audited_tables().values():
        path = suite_path(table, root)
        if path in changed:
            text = render(table, root)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return changed


def stale_suites(root: Path = SUITES_DIR) -> list[Path]:
    """Return the suite files that are missing or whose generated part differs from the contract."""
    return [
        path
        for table in audited_tables().values()
        if not (path := suite_path(table, root)).exists()
        or path.read_text(encoding="utf-8") != render(table, root)
    ]


def _entry(name: str, kind: str, kwargs: Entry, reason: str, severity: str = "critical") -> Entry:
    return {
        "id": name,
        "type": kind,
        "kwargs": kwargs,
        "severity": severity,
        "notes": reason,
        "meta": {"origin": "contract"},
    }


def _column_entries(column: Column) -> list[Entry]:
    """Return the rules of one column; a value rule leaves nulls to the not-null rule."""
    name, entries = column.name, []
    if not column.nullable:
        entries.append(
            _entry(
                f"{name}_not_null",
                "expect_column_values_to_not_be_null",
                {"column": name},
                "The contract declares the column as never null.",
            )
        )
    if column.allowed:
        entries.append(
            _entry(
                f"{name}_allowed",
                "expect_column_values_to_be_in_set",
                {"column": name, "value_set": list(column.allowed)},
                "The contract closes the list of values.",
            )
        )
    if column.unit in ("ratio", "probability"):
        entries.append(_between(name, 0, 1, f"A {column.unit} is between 0 and 1."))
    elif name.endswith(("_count", "_bytes", "_seconds")):
        entries.append(_between(name, 0, None, "Counts, sizes and durations are never negative."))
    return entries


def _between(column: str, low: float, high: float | None, reason: str) -> Entry:
    limits = {"min_value": low} | ({"max_value": high} if high is not None else {})
    return _entry(
        f"{column}_in_range", "expect_column_values_to_be_between", {"column": column, **limits}, reason
    )


def _key_entry(table: Table) -> Entry:
    # Grouping needs one hash aggregate; GX's own uniqueness rules use a window, which sorts everything.
    key = ", ".join(table.primary_key)
    slices = table.key_slices
    where = f" where {table.primary_key[0]} % {slices} = 0" if slices > 1 else ""
    sampled = (
        f" Checked on the 1/{slices} of the rows whose {table.primary_key[0]} falls into one slice: rows "
        "with equal keys are always in the same slice, but duplicates in the other slices are not seen."
        if slices > 1
        else ""
    )
    return _entry(
        "key_unique",
        NO_ROWS,
        {
            "unexpected_rows_query": f"select {key}, count(*) as row_count from {{batch}}{where} "  # noqa: S608
            f"group by {key} having count(*) > 1 limit 100"
        },
        f"{table.grain}{sampled}",
    )
