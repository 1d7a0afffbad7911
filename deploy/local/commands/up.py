"""`make up`: the services of the stack, and what they need before they can start."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from deploy.local import configuration, processes
from deploy.local.commands.command import Command
from deploy.local.configuration import Settings
from deploy.local.errors import StackError
from deploy.local.install import environments
from deploy.local.layout import Layout
from deploy.local.services import airflow, ciworld, jobs, postgres, spark, superset
from deploy.local.services.table import BY_NAME, SERVICES, Service
from deploy.local.supervise import starting, supervision

from cilake.log import logger

_MIN_MEMORY = 4 * 1024**3
_CLUSTER = (spark.MASTER, *map(spark.worker_name, spark.WORKERS))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", help="comma-separated services")


def _up(arguments: argparse.Namespace, here: Layout) -> int:
    start(here, [name for name in arguments.only.split(",") if name])
    return 0


def start(
    layout: Layout,
    only: Iterable[str] = (),
    changes: Mapping[str, str] | None = None,
    *,
    dashboards: bool = True,
) -> dict[str, str]:
    """Start the wanted services (all by default) and what they need; return the settings.

    `changes` replaces settings; services that depend on them are restarted. Without `dashboards` the caller
    imports those itself.
    """
    _with_needs(only)  # names what is unknown before anything is done
    environments.setup(layout)
    layout.make()
    settings = configuration.prepare(layout, changes)
    wanted = _with_needs(only or _of_all(layout, settings), settings)
    supervision.start(layout, settings)
    known = supervision.states(layout)
    running = {name for name, info in known.items() if info["statename"] in supervision.UP}
    _check_machine(settings, [service for service in wanted if service.name not in running], bool(running))
    names = {service.name for service in wanted}

    starting.begin(layout, settings, [s for s in wanted if s.name in ("postgres", "s3")])
    if "postgres" in names:
        starting.wait(layout, settings, [BY_NAME["postgres"]])
        postgres.create_databases(layout, settings)
    starting.wait(layout, settings, [s for s in wanted if s.name == "s3"])
    _begin_spark(layout, settings, wanted)
    # The databases of Airflow and Superset are prepared in parallel, and with the start of Spark.
    with ThreadPoolExecutor() as pool:
        prepared: list[Future[None]] = []
        if any(name.startswith("airflow") for name in names) and airflow.outdated(layout):
            prepared.append(pool.submit(airflow.migrate, layout, settings))
        if "superset" in names:
            prepared.append(pool.submit(superset.prepare, layout, settings))
        starting.wait(layout, settings, [s for s in wanted if s.name == "spark"])
        if "spark" in names:
            _bootstrap(layout, settings)
        starting.begin(layout, settings, [s for s in wanted if s.name in ("trino", "jobs", "ciworld")])
        for step in prepared:
            step.result()
    starting.begin(layout, settings, [s for s in wanted if s.name.startswith(("airflow", "superset"))])
    starting.wait(layout, settings, wanted)
    if "superset" in names and dashboards:
        superset.import_dashboards(layout, settings)
    logger.info("local stack: up" + (f" ({', '.join(service.name for service in wanted)})" if only else ""))
    return settings


def _begin_spark(layout: Layout, settings: Settings, wanted: list[Service]) -> None:
    """Start Spark, after its cluster where it has one; end a cluster that it no longer has."""
    cluster = [service for service in wanted if service.name in _CLUSTER]
    if not cluster:
        known = supervision.states(layout)
        for name in reversed(_CLUSTER):
            if known[name]["statename"] in supervision.UP:
                supervision.stop_service(layout, name)
    starting.begin(layout, settings, cluster)
    starting.wait(layout, settings, cluster)
    starting.begin(layout, settings, [service for service in wanted if service.name == "spark"])


def _of_all(layout: Layout, settings: Settings) -> list[str]:
    """Return the services of a whole stack: with the simulator where it was started and is a source."""
    is_source = ciworld.arguments_file(layout).exists() and any(
        value == settings["CILAKE_CIWORLD_URL"]
        for name, value in settings.items()
        if name != "CILAKE_CIWORLD_URL"
    )
    return [
        service.name
        for service in SERVICES
        if service.by_default or (is_source and service.name == "ciworld")
    ]


def _with_needs(only: Iterable[str], settings: Settings | None = None) -> list[Service]:
    pending = list(only) or [service.name for service in SERVICES if service.by_default]
    names: set[str] = set()
    while pending:
        name = pending.pop()
        if name == "airflow":
            pending += [other for other in BY_NAME if other.startswith("airflow-")]
            continue
        if name not in BY_NAME:
            raise StackError(f"no service {name!r}: choose from airflow, {', '.join(BY_NAME)}")
        if name not in names:
            names.add(name)
            pending += BY_NAME[name].needs
            if name == "spark" and settings and spark.is_cluster(settings):
                pending += _CLUSTER
    return [service for service in SERVICES if service.name in names]


def _check_machine(settings: Settings, missing: list[Service], partly_up: bool) -> None:
    starting.check_ports(settings, missing)
    available = processes.available_memory()
    heavy = {"spark", "trino"} & {service.name for service in missing}
    if heavy and not partly_up and available is not None and available < _MIN_MEMORY:
        raise StackError(
            f"only {available / 1024**3:.1f} GB of memory are available and the stack needs 4 GB at least: "
            "end other programs, or start less, for example `make up ONLY=postgres,s3,spark`"
        )


def _bootstrap(layout: Layout, settings: Settings) -> None:
    """Create the tables that are missing: Trino, which comes next, does not make the catalog's own tables."""
    logger.info("lake: creating the missing tables")
    jobs.run_work(layout, settings, ["bootstrap"], log=layout.log / "bootstrap.log")


COMMANDS = (Command("up", _up, _arguments),)
