"""The simulator: its command, and what it keeps between two starts."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.local.configuration import Settings
from deploy.local.layout import Layout
from deploy.local.services.probe import answers


def arguments_file(layout: Layout) -> Path:
    """Return the file with the arguments of the next start of the simulator, a JSON list."""
    return layout.data / "ciworld.json"


def state_file(layout: Layout) -> Path:
    """Return the file in which the simulator keeps its clock and faults, for when it is killed."""
    return layout.data / "ciworld-state.json"


def command(layout: Layout, settings: Settings) -> list[str]:
    """Return the command line: the world of the last start, by default a synthetic one."""
    path = arguments_file(layout)
    args = json.loads(path.read_text()) if path.exists() else ["--synthetic", "--seed", "7"]
    command = [str(layout.bin("jobs", "ciworld")), "serve", "--port", settings["CILAKE_PORT_CIWORLD"]]
    return [*command, "--state", str(state_file(layout)), *args]


def healthy(layout: Layout, settings: Settings) -> bool:
    """Return whether it responds."""
    return bool(answers(f"{settings['CILAKE_CIWORLD_URL']}/_ciworld/clock", timeout=10))
