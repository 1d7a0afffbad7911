"""What each service is: its command, its environment, its files and how it is known to work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import configuration
from deploy.local.configuration import Settings
from deploy.local.layout import Layout
from deploy.local.services import airflow, ciworld, jobs, postgres, s3, spark, superset, trino


def _nothing(layout: Layout, settings: Settings) -> dict[str, str]:
    return {}


def _no_files(layout: Layout, settings: Settings) -> dict[Path, str]:
    return {}


@dataclass(frozen=True)
class Service:
    """One supervised program. `reaped` ones get a parent that ends everything they leave behind."""

    name: str
    command: Callable[[Layout, Settings], list[str]]
    healthy: Callable[[Layout, Settings], bool]
    environment: Callable[[Layout, Settings], dict[str, str]] = _nothing
    secrets: tuple[str, ...] = ()
    files: Callable[[Layout, Settings], dict[Path, str]] = _no_files
    needs: tuple[str, ...] = ()
    ports: Callable[[Settings], dict[int, str]] = field(default=lambda settings: {})
    reaped: bool = False
    stop_signal: str = "TERM"
    stop_seconds: int = 20
    by_default: bool = True

    def whole_environment(self, layout: Layout, settings: Settings) -> dict[str, str]:
        """Return the environment in which it runs: all settings, of the secrets only its own."""
        return configuration.environment(layout, settings, *self.secrets) | self.environment(layout, settings)

    def fingerprint(self, layout: Layout, settings: Settings) -> str:
        """Return a digest that changes when the service has to be restarted to follow the settings."""
        files = {str(path): text for path, text in self.files(layout, settings).items()}
        secrets = {name: settings[name] for name in self.secrets}
        parts = [self.command(layout, settings), self.environment(layout, settings), secrets, files]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _own_port(setting: str) -> Callable[[Settings], dict[int, str]]:
    return lambda settings: {int(settings[setting]): setting}


SERVICES = (
    Service(
        "postgres",
        postgres.command,
        postgres.ready,
        ports=_own_port("CILAKE_PORT_POSTGRES"),
        stop_signal="INT",  # PostgreSQL's fast shutdown
    ),
    Service(
        "s3",
        s3.command,
        s3.healthy,
        environment=s3.environment,
        files=s3.files,
        ports=s3.ports,
    ),
    Service(
        spark.MASTER,
        spark.master_command,
        spark.master_healthy,
        environment=spark.environment,
        files=spark.daemon_files,
        ports=spark.master_ports,
        by_default=False,
    ),
    *(
        Service(
            spark.worker_name(number),
            spark.worker_command(number),
            spark.worker_healthy(number),
            environment=spark.environment,
            files=spark.daemon_files,
            needs=(spark.MASTER,),
            reaped=True,
            by_default=False,
        )
        for number in spark.WORKERS
    ),
    Service(
        "spark",
        spark.command,
        spark.healthy,
        environment=spark.environment,
        secrets=("CILAKE_S3_ACCESS_KEY", "CILAKE_S3_SECRET_KEY"),  # its Python workers read and write files
        files=spark.files,
        needs=("postgres", "s3"),
        ports=_own_port("CILAKE_PORT_SPARK"),
        reaped=True,
    ),
    Service(
        "trino",
        trino.command,
        trino.healthy,
        environment=trino.environment,
        files=trino.files,
        needs=("postgres", "s3", "spark"),
        ports=_own_port("CILAKE_PORT_TRINO"),
    ),
    Service(
        "airflow-api-server",
        airflow.command("api-server"),
        airflow.healthy("metadatabase"),
        environment=airflow.environment,
        needs=("postgres",),
        ports=_own_port("CILAKE_PORT_AIRFLOW"),
        reaped=True,
    ),
    Service(
        "airflow-dag-processor",
        airflow.command("dag-processor"),
        airflow.healthy("dag_processor"),
        environment=airflow.parsing_environment,
        needs=("airflow-api-server",),
        reaped=True,
    ),
    Service(
        "airflow-triggerer",
        airflow.command("triggerer", "--skip-serve-logs"),
        airflow.healthy("triggerer"),
        environment=airflow.environment,
        needs=("airflow-api-server",),
        reaped=True,
    ),
    Service(
        "airflow-scheduler",
        airflow.command("scheduler", "--skip-serve-logs"),
        airflow.healthy("scheduler"),
        environment=airflow.environment,
        needs=("airflow-api-server",),
        reaped=True,
    ),
    Service("jobs", jobs.command, jobs.healthy),
    Service(
        "superset",
        superset.command,
        superset.healthy,
        environment=superset.environment,
        secrets=superset.SECRETS,
        needs=("postgres", "trino"),
        ports=_own_port("CILAKE_PORT_SUPERSET"),
    ),
    Service(
        "ciworld",
        ciworld.command,
        ciworld.healthy,
        ports=_own_port("CILAKE_PORT_CIWORLD"),
        by_default=False,
    ),
)
"""Every service in the order of starting; they stop in the opposite order."""

BY_NAME = {service.name: service for service in SERVICES}
