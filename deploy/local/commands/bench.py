"""`make bench`, `quality` and `dashboards-bench`: the programs of `benchmarks`, with arguments of theirs."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Mapping

from deploy.local.commands import checks
from deploy.local.commands.command import Command
from deploy.local.install import environments
from deploy.local.layout import REPO, Layout


def _benchmark(arguments: argparse.Namespace, here: Layout) -> int:
    environments.setup(here)
    name = "growth" if "--scale" in arguments.rest else arguments.command
    return _run(here, name, arguments.rest, checks.environment(here))


def _dashboards(arguments: argparse.Namespace, here: Layout) -> int:
    environment = checks.environment(here) | {"CILAKE_HOME": str(here.home), "PYTHONPATH": str(REPO)}
    return _run(here, "dashboards", arguments.rest, environment)


def _run(here: Layout, name: str, args: list[str], environment: Mapping[str, str]) -> int:
    command = [str(here.bin("jobs", "python")), str(REPO / "benchmarks" / f"{name}.py"), *args]
    return subprocess.run(command, cwd=REPO, env=environment, check=False).returncode


COMMANDS = (
    Command("bench", _benchmark, passes_on=True),
    Command("quality", _benchmark, passes_on=True),
    Command("dashboards-bench", _dashboards, passes_on=True),
)
