"""The analyst's verbs of the command line: CSV on standard output, everything else on standard error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cilake.settings import find_settings, require

if TYPE_CHECKING:
    import pandas as pd

    from cilake.client.lake import Lake


def answer(arguments: argparse.Namespace) -> int:
    """The exit code 0 after the answer to one reading verb was printed; errors are raised."""
    try:
        _print_answer(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _print_answer(arguments: argparse.Namespace) -> None:
    if arguments.verb == "sql":
        _sql(arguments)
        return
    # Only now: what reads tables takes a second to import, which a statement for Trino need not wait for.
    from cilake.client.lake import connect

    lake = connect(arguments.settings)
    if arguments.verb == "describe":
        _describe(lake, arguments.address)
    elif arguments.verb == "export":
        count = lake.export(arguments.address, arguments.path, **_options(arguments))
        sys.stderr.write(f"wrote {count:,} rows to {arguments.path}\n")
    else:
        frames: dict[str, Callable[[], pd.DataFrame]] = {
            "tables": lambda: lake.tables()[["address", "row_count", "changed_at", "title"]],
            "read": lambda: lake.read(arguments.address, **_options(arguments)),
        }
        frames[arguments.verb]().to_csv(sys.stdout, index=False)


def _sql(arguments: argparse.Namespace) -> None:
    from cilake.client.statement import write_csv

    settings = find_settings(arguments.settings)
    require(settings, "trino_url")
    write_csv(settings.trino_url, arguments.statement, sys.stdout)


def _describe(lake: Lake, address: str) -> None:
    columns = lake.describe(address)
    for name, value in columns.attrs.items():
        label = str(name).replace("_", " ")
        text = ", ".join(value) if isinstance(value, list) else value
        sys.stderr.write(f"{label:16} {text if text is not None else '-'}\n")
    sys.stderr.write("\n")
    columns.to_csv(sys.stdout, index=False)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    columns = arguments.columns.split(",") if arguments.columns else None
    return {
        "start": arguments.start,
        "end": arguments.end,
        "columns": columns,
        "where": arguments.where,
        "as_of": arguments.as_of,
        "limit": arguments.limit,
    }
