"""The commands of the embedded stack; `make help` lists them by purpose."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

if sys.version_info < (3, 11):  # noqa: UP036 - what an older Python must say
    sys.exit("cilake needs Python 3.11 or newer: run make with PYTHON=python3.11 (or newer)")

from deploy.local import layout
from deploy.local.commands import (
    airflow,
    bench,
    checks,
    dashboards,
    dist,
    docs,
    down,
    env,
    help_page,
    logs,
    nights,
    scaffold,
    setup,
    sql,
    status,
    up,
    urls,
)
from deploy.local.errors import StackError

COMMANDS = (
    *help_page.COMMANDS,
    *setup.COMMANDS,
    *up.COMMANDS,
    *down.COMMANDS,
    *status.COMMANDS,
    *urls.COMMANDS,
    *logs.COMMANDS,
    *sql.COMMANDS,
    *airflow.COMMANDS,
    *nights.COMMANDS,
    *dashboards.COMMANDS,
    *checks.COMMANDS,
    *scaffold.COMMANDS,
    *docs.COMMANDS,
    *dist.COMMANDS,
    *env.COMMANDS,
    *bench.COMMANDS,
)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, by default those of the command line; its exit status."""
    arguments = parse(sys.argv[1:] if args is None else args)
    try:
        return int(arguments.run(arguments, layout.current()))
    except StackError as error:
        print(f"cilake: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("cilake: interrupted; what was started goes on: `make down` stops it", file=sys.stderr)
        return 130


def parse(args: Sequence[str]) -> argparse.Namespace:
    """Return the arguments with the function that obeys them as `run`."""
    parser = argparse.ArgumentParser(prog="python3 -m deploy.local")
    parsers = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        of_command = parsers.add_parser(command.name, add_help=not command.passes_on)
        command.arguments(of_command)
        of_command.set_defaults(run=command.run)
    if args and args[0] in {command.name for command in COMMANDS if command.passes_on}:
        arguments = parser.parse_args(args[:1])
        arguments.rest = list(args[1:])
        return arguments
    return parser.parse_args(args)


if __name__ == "__main__":
    sys.exit(main())
