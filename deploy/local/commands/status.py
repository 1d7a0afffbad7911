"""`make status`: every service with its state and health."""

from __future__ import annotations

import argparse

from deploy.local import configuration, processes
from deploy.local.commands.command import Command
from deploy.local.layout import Layout
from deploy.local.services.table import SERVICES
from deploy.local.supervise import supervision


def _status(arguments: argparse.Namespace, here: Layout) -> int:
    """Print the services with their states; return 0 when all that were started work.

    Of those that are not started by default only what runs is shown.
    """
    settings = configuration.require(here)
    known = supervision.states(here)
    if not known:
        print("the stack is not running: `make up` starts it")
        return 1
    every = True
    print(f"{'service':22} {'state':9} {'health':7} {'since':>9} {'pid':>8}")
    for service in SERVICES:
        info = known[service.name]
        if info["statename"] == "STOPPED":  # by a command: what fails has another state
            if service.by_default:
                print(f"{service.name:22} {'stopped':9} {'-':7} {'-':>9} {'-':>8}")
            continue
        works = info["statename"] == "RUNNING" and service.healthy(here, settings)
        every = every and works
        since = f"{info['now'] - info['start']} s" if info["statename"] == "RUNNING" else "-"
        health = "ok" if works else "FAILS"
        print(
            f"{service.name:22} {info['statename'].lower():9} {health:7} {since:>9} {info['pid'] or '-':>8}"
        )
    ours = processes.ours(here)
    print(f"{len(ours)} processes, {processes.resident_bytes(ours) / 1024**3:.2f} GB of memory")
    return 0 if every else 1


COMMANDS = (Command("status", _status),)
