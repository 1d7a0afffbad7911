"""`make sql`: one statement in Trino."""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

from deploy.local import configuration
from deploy.local.commands.command import Command
from deploy.local.errors import StackError
from deploy.local.layout import Layout


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("statement", nargs="?", help="default: the variable Q")


def _sql(arguments: argparse.Namespace, here: Layout) -> int:
    """Run one statement in Trino and print its rows as CSV; return the exit status."""
    statement = arguments.statement or os.environ.get("Q", "")
    if not statement.strip():
        raise StackError('no statement: make sql Q="select 1 as one"')
    settings = configuration.require(here)
    args: list[str | Path] = [here.bin("jobs", "cilake"), "sql", "--", statement]
    return subprocess.run(args, env=configuration.environment(here, settings), check=False).returncode


COMMANDS = (Command("sql", _sql, _arguments),)
