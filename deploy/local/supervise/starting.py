"""The start of services, with their settings, until they work."""

from __future__ import annotations

import json
import time

from deploy.local import configuration, processes
from deploy.local.configuration import Settings
from deploy.local.errors import StackError
from deploy.local.layout import Layout
from deploy.local.services import airflow, ciworld, postgres, superset
from deploy.local.services.table import BY_NAME, Service
from deploy.local.supervise import supervision

from cilake.log import logger

_TIMEOUT_SECONDS = 180


def check_ports(settings: Settings, missing: list[Service]) -> None:
    """Check that no other program has a port of these services.

    Raises:
        StackError: naming all that are taken, and their settings.

    """
    taken = [
        f"port {port} of {service.name} ({setting}={settings[setting]})"
        for service in missing
        for port, setting in service.ports(settings).items()
        if processes.port_taken(port)
    ]
    if taken:
        raise StackError(
            f"{', '.join(taken)}: taken by another program; free it, or choose another in the environment of "
            "`make up`"
        )


def begin(layout: Layout, settings: Settings, services: list[Service]) -> None:
    """Start what does not run, restart what runs with other settings."""
    known = supervision.states(layout)
    for service in services:
        if service.name == "postgres":
            stopped = known["postgres"]["statename"] not in supervision.UP
            if stopped and postgres.initialise(layout, settings):
                airflow.forget(layout)
                superset.forget(layout)
        record = layout.run / f"{service.name}.fingerprint"
        fingerprint = service.fingerprint(layout, settings)
        if known[service.name]["statename"] in supervision.UP:
            if record.exists() and record.read_text() == fingerprint:
                continue
            logger.info(f"{service.name}: restarting, its settings changed")
            supervision.stop_service(layout, service.name)
        for path, text in service.files(layout, settings).items():
            configuration.write_private(path, text)
        supervision.start_service(layout, service.name)
        record.write_text(fingerprint)


def wait(layout: Layout, settings: Settings, services: list[Service]) -> None:
    """Wait until each of these works, and log which are awaited; raise one clear line when one does not."""
    waiting = list(services)
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    last_log_at = time.monotonic()
    while waiting:
        known = supervision.states(layout)
        for service in list(waiting):
            info = known.get(service.name, {})
            if info.get("statename") in ("FATAL", "EXITED", "STOPPED"):
                raise StackError(f"{service.name} does not start: see `make logs S={service.name}`")
            if info.get("statename") in supervision.UP and service.healthy(layout, settings):
                waiting.remove(service)
                if info["now"] - info["start"] < _TIMEOUT_SECONDS:
                    logger.info(f"{service.name}: up")
        if waiting and time.monotonic() > deadline:
            names = ", ".join(service.name for service in waiting)
            raise StackError(
                f"{names} not healthy after {_TIMEOUT_SECONDS} s: see `make logs S={waiting[0].name}`"
            )
        if waiting and time.monotonic() - last_log_at > 10:
            logger.info(f"waiting: {', '.join(service.name for service in waiting)}")
            last_log_at = time.monotonic()
        if waiting:
            time.sleep(0.2)


def start_ciworld(layout: Layout, arguments: list[str]) -> None:
    """Start the simulator with these arguments of `ciworld serve`; port and state file are added."""
    settings = configuration.require(layout)
    configuration.write_private(ciworld.arguments_file(layout), json.dumps(arguments))
    service = [BY_NAME["ciworld"]]
    running = supervision.states(layout).get("ciworld", {}).get("statename") in supervision.UP
    if not running:
        check_ports(settings, service)
    begin(layout, settings, service)
    wait(layout, settings, service)
