"""The commands that start, stop and show the stack."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from deploy.local import configuration, processes
from deploy.local.errors import StackError
from deploy.local.install import environments
from deploy.local.layout import REPO, Layout
from deploy.local.log import logger
from deploy.local.services import postgres, superset
from deploy.local.services.table import BY_NAME, SERVICES, Service, airflow_environment, ciworld_arguments
from deploy.local.supervise import supervision

_MIN_MEMORY = 4 * 1024**3
_TIMEOUT_SECONDS = 180
_AIRFLOW_POOLS = REPO / "deploy" / "airflow" / "pools.json"
_UP = ("RUNNING", "STARTING", "BACKOFF")


def up(
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
    wanted = _with_needs(only)
    environments.setup(layout)
    layout.make()
    settings = configuration.prepare(layout, changes)
    supervision.start(layout, settings)
    running = {name for name, info in supervision.states(layout).items() if info["statename"] in _UP}
    _check_machine(settings, [service for service in wanted if service.name not in running], bool(running))
    names = {service.name for service in wanted}

    _begin(layout, settings, [s for s in wanted if s.name in ("postgres", "s3")])
    if "postgres" in names:
        _await(layout, settings, [BY_NAME["postgres"]])
        postgres.create_databases(layout, settings)
    _await(layout, settings, [s for s in wanted if s.name == "s3"])
    _begin(layout, settings, [s for s in wanted if s.name == "spark"])
    # The databases of Airflow and Superset are prepared in parallel, and with the start of Spark.
    with ThreadPoolExecutor() as pool:
        prepared: list[Future[None]] = []
        if any(name.startswith("airflow") for name in names) and _migration_stamp(layout):
            prepared.append(pool.submit(_migrate_airflow, layout, settings))
        if "superset" in names:
            prepared.append(pool.submit(superset.prepare, layout, settings))
        _await(layout, settings, [s for s in wanted if s.name == "spark"])
        if "spark" in names:
            _bootstrap(layout, settings)
        _begin(layout, settings, [s for s in wanted if s.name in ("trino", "jobs", "ciworld")])
        for step in prepared:
            step.result()
    _begin(layout, settings, [s for s in wanted if s.name.startswith(("airflow", "superset"))])
    _await(layout, settings, wanted)
    if "superset" in names and dashboards:
        superset.import_dashboards(layout, settings)
    logger.info(f"local stack: up{': ' + ', '.join(service.name for service in wanted) if only else ''}")
    return settings


def start_ciworld(layout: Layout, arguments: list[str]) -> None:
    """Start the simulator with these arguments of `ciworld serve`; port and state file are added."""
    settings = configuration.require(layout)
    configuration.write_private(ciworld_arguments(layout), json.dumps(arguments))
    service = [BY_NAME["ciworld"]]
    running = supervision.states(layout).get("ciworld", {}).get("statename") in _UP
    if not running:
        _check_ports(settings, service)
    _begin(layout, settings, service)
    _await(layout, settings, service)


def _with_needs(only: Iterable[str]) -> list[Service]:
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
    return [service for service in SERVICES if service.name in names]


def _check_machine(settings: Mapping[str, str], missing: list[Service], partly_up: bool) -> None:
    _check_ports(settings, missing)
    available = processes.available_memory()
    heavy = {"spark", "trino"} & {service.name for service in missing}
    if heavy and not partly_up and available is not None and available < _MIN_MEMORY:
        raise StackError(
            f"only {available / 1024**3:.1f} GB of memory are available and the stack needs 4 GB at least: "
            "end other programs, or start less, for example `make up ONLY=postgres,s3,spark`"
        )


def _check_ports(settings: Mapping[str, str], missing: list[Service]) -> None:
    for service in missing:
        for port, setting in service.ports(settings).items():
            if processes.port_taken(port):
                raise StackError(
                    f"port {port} of {service.name} is taken by another program: free it, or choose another "
                    f"with {setting}=… in the environment of `make up` (now {settings[setting]})"
                )


def _begin(layout: Layout, settings: Mapping[str, str], services: list[Service]) -> None:
    """Start what does not run, restart what runs with other settings."""
    known = supervision.states(layout)
    for service in services:
        if service.name == "postgres":
            postgres_new = known["postgres"]["statename"] not in _UP and postgres.initialise(layout, settings)
            if postgres_new:
                (layout.data / "airflow.stamp").unlink(missing_ok=True)
                superset.forget(layout)
        record = layout.run / f"{service.name}.fingerprint"
        fingerprint = service.fingerprint(layout, settings)
        if known[service.name]["statename"] in _UP:
            if record.exists() and record.read_text() == fingerprint:
                continue
            logger.info(f"{service.name}: restarting, its settings changed")
            supervision.stop_service(layout, service.name)
        for path, text in service.files(layout, settings).items():
            configuration.write_private(path, text)
        supervision.start_service(layout, service.name)
        record.write_text(fingerprint)


def _await(layout: Layout, settings: Mapping[str, str], services: list[Service]) -> None:
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
            if info.get("statename") in _UP and service.healthy(layout, settings):
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


def _migration_stamp(layout: Layout) -> str:
    """Return what the stamp of Airflow's database must become, or nothing when it already says so."""
    inputs = (REPO / "requirements" / "airflow.txt", _AIRFLOW_POOLS)
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    stamp = layout.data / "airflow.stamp"
    return "" if stamp.exists() and stamp.read_text() == wanted else wanted


def _migrate_airflow(layout: Layout, settings: Mapping[str, str]) -> None:
    logger.info("Airflow: preparing the database")
    airflow = layout.bin("airflow", "airflow")
    environment = configuration.environment(layout, settings) | airflow_environment(layout, settings)
    log = layout.log / "airflow-migrate.log"
    # A task of a pool that is not there never runs: the pools belong to the database.
    for args in (["db", "migrate"], ["pools", "import", str(_AIRFLOW_POOLS)]):
        with log.open("ab") as output:
            done = subprocess.run(
                [airflow, *args],
                env=environment,
                stdout=output,
                stderr=output,
                check=False,
                cwd=layout.airflow_home,
            )
        if done.returncode != 0:
            raise StackError(f"Airflow's database cannot be prepared: see {log}")
    (layout.data / "airflow.stamp").write_text(_migration_stamp(layout))


def _bootstrap(layout: Layout, settings: Mapping[str, str]) -> None:
    """Create the tables that are missing: Trino, which comes next, does not make the catalog's own tables."""
    logger.info("lake: creating the missing tables")
    run_work(layout, settings, ["bootstrap"], log=layout.log / "bootstrap.log")


def run_work(layout: Layout, settings: Mapping[str, str], args: list[str], log: Path | None = None) -> None:
    """Run a verb of `cilake` with the stack's settings; its output goes to the log, else to this terminal."""
    environment = configuration.environment(layout, settings, *configuration.OF_THE_WORK)
    environment["JAVA_HOME"] = airflow_environment(layout, settings)["JAVA_HOME"]
    command: list[str | Path] = [layout.bin("jobs", "cilake"), *args]
    if log is None:
        done = subprocess.run(command, env=environment, check=False, cwd=REPO)
    else:
        with log.open("wb") as output:
            done = subprocess.run(
                command, env=environment, check=False, cwd=REPO, stdout=output, stderr=output
            )
    if done.returncode != 0:
        raise StackError(f"`cilake {' '.join(args)}` failed" + (f": see {log}" if log else ""))


def work_settings(layout: Layout) -> dict[str, str]:
    """Return the settings for commands that may run before the first `up`."""
    layout.make()
    return configuration.read(layout) or configuration.prepare(layout)


def down(layout: Layout) -> None:
    """Stop every process of the stack."""
    if supervision.keeper(layout) is None and not processes.ours(layout):
        logger.info("local stack: not running")
        return
    logger.info("local stack: stopping")
    forced = supervision.stop(layout)
    logger.info("local stack: stopped" + (f" ({forced} processes killed)" if forced else ""))


def status(layout: Layout) -> bool:
    """Print every service with its state; return whether all that were started work."""
    settings = configuration.require(layout)
    known = supervision.states(layout)
    if not known:
        print("the stack is not running: `make up` starts it")
        return False
    every = True
    print(f"{'service':22} {'state':9} {'health':7} {'since':>9} {'pid':>8}")
    for service in SERVICES:
        info = known[service.name]
        if info["statename"] == "STOPPED" and info["start"] == 0:
            print(f"{service.name:22} {'stopped':9} {'-':7} {'-':>9} {'-':>8}")
            continue
        works = info["statename"] == "RUNNING" and service.healthy(layout, settings)
        every = every and works
        since = f"{info['now'] - info['start']} s" if info["statename"] == "RUNNING" else "-"
        health = "ok" if works else "FAILS"
        print(
            f"{service.name:22} {info['statename'].lower():9} {health:7} {since:>9} {info['pid'] or '-':>8}"
        )
    ours = processes.ours(layout)
    print(f"{len(ours)} processes, {processes.resident_bytes(ours) / 1024**3:.2f} GB of memory")
    return every


def urls(layout: Layout, *, as_json: bool) -> None:
    """Print every service's address, its user and the file that holds the password."""
    settings = configuration.require(layout)
    secrets, reader = str(layout.settings_file), str(layout.reader_file)
    rows = [
        (
            "Superset",
            settings["CILAKE_SUPERSET_URL"],
            "viewer",
            f"{secrets} (CILAKE_SUPERSET_VIEWER_PASSWORD)",
        ),
        (
            "Superset admin",
            settings["CILAKE_SUPERSET_URL"],
            "admin",
            f"{secrets} (CILAKE_SUPERSET_PASSWORD)",
        ),
        ("Airflow", settings["CILAKE_AIRFLOW_URL"], "viewer", str(layout.airflow_passwords)),
        ("Airflow admin", settings["CILAKE_AIRFLOW_URL"], "admin", str(layout.airflow_passwords)),
        ("Trino", settings["CILAKE_TRINO_URL"], "analyst", ""),
        ("reader.env", layout.reader_file.as_uri(), "", f"{reader} (reads the tables only: hand it out)"),
        (
            "PostgreSQL",
            settings["CILAKE_CATALOG_URI"],
            configuration.CATALOG_READER,
            f"{reader} (CILAKE_CATALOG_PASSWORD)",
        ),
        ("S3", settings["CILAKE_S3_ENDPOINT"], "CILAKE_S3_ACCESS_KEY", f"{reader} (CILAKE_S3_SECRET_KEY)"),
        (
            "Spark Connect",
            settings["CILAKE_SPARK_REMOTE"],
            "",
            f"{secrets} (SPARK_CONNECT_AUTHENTICATE_TOKEN)",
        ),
        ("CI world", settings["CILAKE_CIWORLD_URL"], "", ""),
        (
            "data docs",
            f"{settings['CILAKE_AIRFLOW_URL']}/cilake/data-docs/index.html",
            "viewer",
            str(layout.airflow_passwords),
        ),
        (
            "table pages",
            f"{settings['CILAKE_AIRFLOW_URL']}/cilake/tables/README.md",
            "viewer",
            str(layout.airflow_passwords),
        ),
    ]
    if as_json:
        keys = ("service", "url", "user", "password_file")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))
        return
    for service, url, user, password in rows:
        print(f"{service:14} {url:50} {user or '-':22} {password or 'no password: loopback only'}")


def logs(layout: Layout, name: str, *, follow: bool) -> None:
    """Print the end of a service's log; with `follow` whatever comes, until interrupted."""
    known = sorted(path.stem for path in layout.log.glob("*.log"))
    if name not in known:
        wrong = f"no log {name!r}" if name else "no log named"
        raise StackError(f"{wrong}: choose S= from {', '.join(known) or 'nothing yet'}")
    sys.stdout.flush()
    subprocess.run(
        ["tail", "-n", "100", *(["-F"] if follow else []), layout.log / f"{name}.log"], check=False
    )


def sql(layout: Layout, statement: str) -> int:
    """Run one statement in Trino and print its rows as CSV; return the exit status."""
    if not statement.strip():
        raise StackError('no statement: make sql Q="select 1 as one"')
    settings = configuration.require(layout)
    args: list[str | Path] = [layout.bin("jobs", "cilake"), "sql", "--", statement]
    return subprocess.run(args, env=configuration.environment(layout, settings), check=False).returncode


def airflow(layout: Layout, arguments: str) -> int:
    """Run one command of Airflow with the stack's settings and database; return its exit status.

    `arguments` are split as a shell does, and no shell sees them.
    """
    try:
        args = shlex.split(arguments)
    except ValueError as error:
        raise StackError(f"cannot read ARGS: {error}") from None
    if not args:
        raise StackError('no command of Airflow: make airflow ARGS="dags list", or ARGS="--help"')
    settings = configuration.require(layout)
    if supervision.states(layout).get("postgres", {}).get("statename") not in _UP:
        raise StackError("the stack is not running: `make up` starts it")
    command: list[str | Path] = [layout.bin("airflow", "airflow"), *args]
    environment = configuration.environment(layout, settings) | airflow_environment(layout, settings)
    return subprocess.run(command, env=environment, check=False, cwd=layout.airflow_home).returncode


def clean(layout: Layout, *, everything: bool) -> None:
    """Stop the stack and remove its data, logs and secrets; with `everything` the environments too."""
    down(layout)
    if os.getuid() == 0:
        shutil.rmtree(postgres.outside(layout), ignore_errors=True)
    for folder in (layout.data, layout.log, layout.run, layout.airflow_home, layout.data_docs):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (layout.settings_file, layout.reader_file):
        file.unlink(missing_ok=True)
    if everything:
        for folder in (layout.envs, layout.lib, layout.trino, layout.shared / "java-spark"):
            shutil.rmtree(folder, ignore_errors=True)
    logger.info(f"{layout.home}: state removed" + (", environments removed" if everything else ""))
