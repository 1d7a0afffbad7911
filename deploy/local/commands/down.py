"""`make down` and `make clean`: the end of the stack, and of what it keeps."""

from __future__ import annotations

import argparse
import os
import shutil

from deploy.local import processes
from deploy.local.commands.command import Command
from deploy.local.layout import Layout
from deploy.local.services import postgres
from deploy.local.supervise import supervision

from cilake.log import logger


def _down(arguments: argparse.Namespace, here: Layout) -> int:
    """Stop every process of the stack."""
    if supervision.keeper(here) is None and not processes.ours(here):
        logger.info("local stack: not running")
        return 0
    logger.info("local stack: stopping")
    forced = supervision.stop(here)
    logger.info("local stack: stopped" + (f" ({forced} processes killed)" if forced else ""))
    return 0


def _of_clean(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true")


def _clean(arguments: argparse.Namespace, here: Layout) -> int:
    """Stop the stack and remove its data, logs and secrets; with `--all` the environments too."""
    _down(arguments, here)
    if os.getuid() == 0:
        shutil.rmtree(postgres.outside(here), ignore_errors=True)
    for folder in (here.data, here.log, here.run, here.airflow_home, here.data_docs):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (here.settings_file, here.reader_file):
        file.unlink(missing_ok=True)
    if arguments.all:
        for folder in (here.envs, here.lib, here.trino, here.shared / "java-spark"):
            shutil.rmtree(folder, ignore_errors=True)
    logger.info(f"{here.home}: state removed" + (", environments removed" if arguments.all else ""))
    return 0


COMMANDS = (Command("down", _down), Command("clean", _clean, _of_clean))
