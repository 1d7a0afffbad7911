"""`make airflow`: one command of Airflow on this stack."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
from pathlib import Path

from deploy.local import configuration
from deploy.local.commands.command import Command
from deploy.local.errors import StackError
from deploy.local.layout import Layout
from deploy.local.services import airflow
from deploy.local.supervise import supervision


def _airflow(arguments: argparse.Namespace, here: Layout) -> int:
    """Run one command of Airflow with the stack's settings and database; return its exit status.

    The variable ARGS is split as a shell does, and no shell sees it.
    """
    try:
        args = shlex.split(os.environ.get("ARGS", ""))
    except ValueError as error:
        raise StackError(f"cannot read ARGS: {error}") from None
    if not args:
        raise StackError('no command of Airflow: make airflow ARGS="dags list", or ARGS="--help"')
    settings = configuration.require(here)
    if supervision.states(here).get("postgres", {}).get("statename") not in supervision.UP:
        raise StackError("the stack is not running: `make up` starts it")
    command: list[str | Path] = [here.bin("airflow", "airflow"), *args]
    environment = configuration.environment(here, settings) | airflow.environment(here, settings)
    return subprocess.run(command, env=environment, check=False, cwd=here.airflow_home).returncode


COMMANDS = (Command("airflow", _airflow),)
