"""The analyst's verbs of the command line: CSV on standard output, everything else on standard error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cilake.settings import Settings, find_settings, require

if TYPE_CHECKING:
    import pandas as pd

    from cilake.client.lake import Lake

HINTS = {
    "tables": "`cilake tables` lists them all",
    "columns": "`cilake describe {address}` lists them",
    "no_days": "leave --start and --end out",
    "day": "--{argument} takes a day, YYYY-MM-DD",
    "whole_days": "--{argument} takes whole days; compare instants in --where",
    "empty_range": "--end is exclusive",
    "as_of": "--as-of takes YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS+HH:MM (UTC without a zone)",
    "published": "--as-of is about when rows were published; for their days use --start and --end",
    "limit": "--limit is at least 1",
    "where": "compare columns with =, <, >, in (…), between, like, is null; join them by and, or, not; "
    "`cilake read --help` lists all forms",
    "values": "write days as '2026-02-20', instants as '2026-02-20T12:00:00+00:00', `like` with a last %; "
    "`cilake read --help` "
    "says more",
}
"""What helps, by the keys of the library's hints, in the words of the command line."""


def answer(arguments: argparse.Namespace) -> None:
    """Print the result of one reading verb.

    Raises:
        LakeError: in the words of the command line.

    """
    from cilake.client.query import LakeError

    try:
        _print_answer(arguments)
        sys.stdout.flush()
    except LakeError as error:
        raise type(error)(error.worded(HINTS)) from None
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_answer(arguments: argparse.Namespace) -> None:
    if arguments.verb == "sql":
        _sql(arguments)
        return
    # Only now: what reads tables takes a second to import, which a statement for Trino need not wait for.
    from cilake.client.lake import connect

    lake = connect(_settings(arguments))
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


def _settings(arguments: argparse.Namespace) -> Settings:
    return find_settings(arguments.settings, named_by="--settings …/reader.env")


def _sql(arguments: argparse.Namespace) -> None:
    from cilake.client.statement import login, write_csv

    settings = _settings(arguments)
    require(settings, "trino_url")
    write_csv(settings.trino_url, arguments.statement, sys.stdout, **login(settings))


def _describe(lake: Lake, address: str) -> None:
    columns = lake.describe(address)
    for name, value in columns.attrs.items():
        label = str(name).replace("_", " ")
        between = " " if name == "caveats" else ", "  # sentences, and names
        text = between.join(value) if isinstance(value, list) else value
        sys.stderr.write(f"{label:16} {text if text is not None else '-'}\n")
    sys.stderr.write("\n")
    columns.to_csv(sys.stdout, index=False)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    columns = [name.strip() for name in arguments.columns.split(",")] if arguments.columns else None
    return {
        "start": arguments.start,
        "end": arguments.end,
        "columns": columns,
        "where": arguments.where,
        "as_of": arguments.as_of,
        "limit": arguments.limit,
    }
