"""`make dashboards-export` and `dashboards-import`: the dashboards between Superset and the files."""

from __future__ import annotations

import argparse

from deploy.local import configuration
from deploy.local.commands.command import Command
from deploy.local.layout import Layout
from deploy.local.services import superset


def _export(arguments: argparse.Namespace, here: Layout) -> int:
    superset.export_dashboards(here, configuration.require(here))
    return 0


def _import(arguments: argparse.Namespace, here: Layout) -> int:
    superset.import_dashboards(here, configuration.require(here), overwrite=True)
    return 0


COMMANDS = (Command("dashboards-export", _export), Command("dashboards-import", _import))
