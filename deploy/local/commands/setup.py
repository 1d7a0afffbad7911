"""`make setup` and `make requirements`: the environments, and what they are made from."""

from __future__ import annotations

import argparse

from deploy.local.commands.command import Command
from deploy.local.install import environments
from deploy.local.layout import Layout


def _setup(arguments: argparse.Namespace, here: Layout) -> int:
    environments.setup(here)
    return 0


def _requirements(arguments: argparse.Namespace, here: Layout) -> int:
    environments.compile_requirements(here)
    return 0


COMMANDS = (Command("setup", _setup), Command("requirements", _requirements))
