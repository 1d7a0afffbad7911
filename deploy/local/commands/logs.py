"""`make logs`: the end of a service's log."""

from __future__ import annotations

import argparse
import subprocess
import sys

from deploy.local.commands.command import Command
from deploy.local.errors import StackError
from deploy.local.layout import Layout


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument("--follow", action="store_true")


def _logs(arguments: argparse.Namespace, here: Layout) -> int:
    """Print the end of a service's log; with `--follow` whatever comes, until interrupted."""
    name = arguments.service
    known = sorted(path.stem for path in here.log.glob("*.log"))
    if name not in known:
        wrong = f"no log {name!r}" if name else "no log named"
        raise StackError(f"{wrong}: choose S= from {', '.join(known) or 'nothing yet'}")
    sys.stdout.flush()
    follow = ["-F"] if arguments.follow else []
    subprocess.run(["tail", "-n", "100", *follow, here.log / f"{name}.log"], check=False)
    return 0


COMMANDS = (Command("logs", _logs, _arguments),)
