"""Airflow: its commands, its whole configuration, and its database with the pools."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from deploy.local import configuration
from deploy.local.configuration import Settings
from deploy.local.errors import StackError
from deploy.local.install import java
from deploy.local.layout import REPO, Layout
from deploy.local.services.probe import answers

from cilake.log import logger
from deploy import templates

PARSED = ("dags", "plugins", "jobs/cilake/contracts", "jobs/cilake/sources", "jobs/cilake/models")
"""What the DAGs follow from."""
POOLS = REPO / "deploy" / "airflow" / "pools.json"


def environment(layout: Layout, settings: Settings) -> dict[str, str]:
    """Return Airflow's whole configuration; its tasks read the settings of the jobs from the stack's file."""
    password, port = settings["CILAKE_AIRFLOW_DB_PASSWORD"], settings["CILAKE_PORT_POSTGRES"]
    database = f"airflow:{password}@127.0.0.1:{port}/airflow"
    options = {
        "CORE__DAGS_FOLDER": str(REPO / "dags"),
        "CORE__PLUGINS_FOLDER": str(REPO / "plugins"),
        "CORE__FERNET_KEY": settings["CILAKE_AIRFLOW_FERNET_KEY"],
        "CORE__EXECUTION_API_SERVER_URL": f"{settings['CILAKE_AIRFLOW_URL']}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{user}" for user in configuration.AIRFLOW_USERS),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(layout.airflow_passwords),
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{database}",
        "API__HOST": "127.0.0.1",
        "API__PORT": settings["CILAKE_PORT_AIRFLOW"],
        "API__BASE_URL": settings["CILAKE_AIRFLOW_URL"],
        "API__SECRET_KEY": settings["CILAKE_AIRFLOW_SECRET_KEY"],
        "API_AUTH__JWT_SECRET": settings["CILAKE_AIRFLOW_JWT_SECRET"],
        "LOGGING__BASE_LOG_FOLDER": str(layout.log / "airflow"),
    }
    found = templates.variables("airflow/airflow.env")
    found |= {f"AIRFLOW__{name}": value for name, value in options.items()}
    found["AIRFLOW_HOME"] = str(layout.airflow_home)
    # Airflow looks for its own programs on PATH; the jobs are started by their full path.
    found["PATH"] = f"{layout.envs / 'airflow' / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    found["JAVA_HOME"] = str(java.for_spark(layout).home)
    return found


def parsing_environment(layout: Layout, settings: Settings) -> dict[str, str]:
    """Return the environment of what parses the DAGs: a new one when they may differ, so that it restarts."""
    files = sorted(path for folder in PARSED for path in (REPO / folder).rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return environment(layout, settings) | {"CILAKE_DAGS_DIGEST": digest}


def command(*args: str) -> Callable[[Layout, Settings], list[str]]:
    """Return the function that makes the command line of one of its programs."""
    return lambda layout, settings: [str(layout.bin("airflow", "airflow")), *args]


def healthy(component: str) -> Callable[[Layout, Settings], bool]:
    """Return the check whether a component says that it is healthy."""

    def check(layout: Layout, settings: Settings) -> bool:
        body = answers(f"{settings['CILAKE_AIRFLOW_URL']}/api/v2/monitor/health", timeout=10)
        if not body:
            return False
        return bool(json.loads(body).get(component, {}).get("status") == "healthy")

    return check


def outdated(layout: Layout) -> bool:
    """Return whether the database has to be prepared: it is new, or its requirements or pools changed."""
    stamp = _stamp(layout)
    return not stamp.exists() or stamp.read_text() != _digest()


def migrate(layout: Layout, settings: Settings) -> None:
    """Prepare the database and import the pools; raise one line that names the log."""
    logger.info("Airflow: preparing the database")
    airflow = layout.bin("airflow", "airflow")
    variables = configuration.environment(layout, settings) | environment(layout, settings)
    log = layout.log / "airflow-migrate.log"
    # A task of a pool that is not there never runs: the pools belong to the database.
    for args in (["db", "migrate"], ["pools", "import", str(POOLS)]):
        with log.open("ab") as output:
            done = subprocess.run(
                [airflow, *args],
                env=variables,
                stdout=output,
                stderr=output,
                check=False,
                cwd=layout.airflow_home,
            )
        if done.returncode != 0:
            raise StackError(f"Airflow's database cannot be prepared: see {log}")
    _stamp(layout).write_text(_digest())


def forget(layout: Layout) -> None:
    """Remove the stamp, so that the next start prepares again: the database is new."""
    _stamp(layout).unlink(missing_ok=True)


def _stamp(layout: Layout) -> Path:
    return layout.data / "airflow.stamp"


def _digest() -> str:
    inputs = (REPO / "requirements" / "airflow.txt", POOLS)
    return hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
