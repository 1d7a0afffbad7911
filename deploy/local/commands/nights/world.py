"""The world that nights are played in: the simulator, or a service that exists."""

from __future__ import annotations

import argparse
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from deploy.local import configuration
from deploy.local.commands import up
from deploy.local.errors import CONNECTION_ERRORS, StackError
from deploy.local.install import environments
from deploy.local.layout import Layout
from deploy.local.supervise import starting

from cilake.log import logger

SIMULATED = "testgrid"
"""The source that the simulator replaces, and whose service an address is."""


def prepare(here: Layout, arguments: argparse.Namespace) -> dict[str, str]:
    """Start the stack with the wanted world behind the address of TestGrid; return the settings.

    The address of a service is used as it is.
    """
    if is_address(arguments.source):
        environments.setup(here)
        here.make()
        return up.start(here, changes={"CILAKE_TESTGRID_URL": arguments.source}, dashboards=False)
    if arguments.source == "synthetic":
        world = ["--synthetic", "--seed", str(arguments.seed)]
    else:
        folder = Path(arguments.source).resolve()
        if not folder.is_dir():
            raise StackError(f"FROM={arguments.source} is neither 'synthetic' nor a folder nor an address")
        world = ["--recorded", str(folder)]
    environments.setup(here)
    check_days(_describe(here, world), arguments.start, arguments.nights or 1)
    here.make()
    address = configuration.prepare(here)["CILAKE_CIWORLD_URL"]
    settings = up.start(here, changes={"CILAKE_TESTGRID_URL": address}, dashboards=False)
    logger.info(f"simulator: serving {' '.join(world)}")
    starting.start_ciworld(here, world)
    return settings


def is_address(source: str) -> bool:
    """Return whether nights are played from a service that exists, with its own clock."""
    return source.startswith(("http://", "https://"))


def _describe(here: Layout, world: Sequence[str]) -> dict[str, Any]:
    """Return what the simulator says about the world of these arguments, without serving it."""
    command = [str(here.bin("jobs", "ciworld")), "world", *world]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(done.stderr.strip().removeprefix("ciworld: "))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check_days(world: Mapping[str, Any], start: date, nights: int) -> None:
    """Check that the simulated world has every one of the nights' days."""
    if world["first_day"] is None:
        raise StackError(f"no run in the recordings of {world['folder']}: choose another folder with FROM=")
    last = start + timedelta(days=nights - 1)
    days = f"the simulated world has {world['first_day']} to {world['last_day']}"
    if start < date.fromisoformat(world["first_day"]):
        raise StackError(f"START={start} is too early: {days}")
    if last > date.fromisoformat(world["last_day"]):
        raise StackError(f"the last night, {last}, is too late (START={start} NIGHTS={nights}): {days}")


def set_clock(settings: Mapping[str, str], day: date) -> None:
    """Set the simulator's clock to the end of the day."""
    body = json.dumps({"as_of": f"{day + timedelta(days=1)}T00:00:00Z"}).encode()
    url = f"{settings['CILAKE_CIWORLD_URL']}/_ciworld/clock"
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - our own loopback address
            return
    except urllib.error.HTTPError as error:
        raise StackError(
            f"the simulator refuses the clock: {error.read().decode(errors='replace')}"
        ) from None
    except CONNECTION_ERRORS as error:
        raise StackError(
            f"the simulator does not respond: {str(error).strip()}; see `make logs S=ciworld`"
        ) from None
