"""`make docs`: the pages that are generated."""

from __future__ import annotations

import argparse

from deploy.local import configuration
from deploy.local.commands.command import Command
from deploy.local.install import environments
from deploy.local.layout import Layout
from deploy.local.services import jobs


def _docs(arguments: argparse.Namespace, here: Layout) -> int:
    environments.setup(here)
    jobs.run_work(here, _settings(here), ["docs"])
    return 0


def _settings(here: Layout) -> configuration.Settings:
    """Return the settings, also before the first `up`."""
    here.make()
    return configuration.read(here) or configuration.prepare(here)


COMMANDS = (Command("docs", _docs),)
