"""What each service is: its command, its environment, its files and how it is known to work."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.images import start_s3
from deploy.local import configuration, processes
from deploy.local.configuration import S3_BLOCK
from deploy.local.install import java
from deploy.local.layout import REPO, Layout
from deploy.local.services import postgres, superset, trino
from deploy.local.services.probe import answers

from deploy import templates

Settings = Mapping[str, str]


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


# ---- SeaweedFS


def _s3_command(layout: Layout, settings: Settings) -> list[str]:
    base = int(settings["CILAKE_PORT_S3"])
    args = [str(layout.bin("jobs", "weed")), "mini", f"-dir={layout.data / 's3'}", "-ip=127.0.0.1"]
    args += ["-ip.bind=127.0.0.1", "-master.telemetry=false", "-webdav=false", "-admin.ui=false"]
    args += ["-s3.port.lance=0", f"-s3.config={_s3_identities(layout)}"]
    return args + [f"-{name}={base + offset}" for name, offset in S3_BLOCK.items()]


def _s3_identities(layout: Layout) -> Path:
    return layout.run / "s3" / "identities.json"


def _s3_files(layout: Layout, settings: Settings) -> dict[Path, str]:
    """Return who may do what, as in the containers: one key writes, the other only reads."""
    return {_s3_identities(layout): json.dumps(start_s3.identities(settings, _bucket(settings)))}


def _s3_environment(layout: Layout, settings: Settings) -> dict[str, str]:
    (layout.data / "s3").mkdir(parents=True, exist_ok=True)
    return {"S3_BUCKET": _bucket(settings), **start_s3.internal_keys(settings)}


def _bucket(settings: Settings) -> str:
    return settings["CILAKE_WAREHOUSE"].split("/")[2]


def _s3_healthy(layout: Layout, settings: Settings) -> bool:
    return answers(f"{settings['CILAKE_S3_ENDPOINT']}/healthz") is not None


def _s3_ports(settings: Settings) -> dict[int, str]:
    base = int(settings["CILAKE_PORT_S3"])
    return {base + offset: "CILAKE_PORT_S3" for offset in S3_BLOCK.values()}


# ---- Spark Connect


def _spark_command(layout: Layout, settings: Settings) -> list[str]:
    submit = layout.site_packages("jobs") / "pyspark" / "bin" / "spark-submit"
    args = [str(submit), "--properties-file", str(layout.run / "spark" / "spark.properties")]
    return [*args, str(REPO / "deploy" / "spark" / "connect_server.py")]


def _spark_environment(layout: Layout, settings: Settings) -> dict[str, str]:
    return {
        "JAVA_HOME": str(java.for_spark(layout).home),
        "SPARK_HOME": str(layout.site_packages("jobs") / "pyspark"),
        "SPARK_LOG_DIR": str(layout.log),
    }


def _spark_files(layout: Layout, settings: Settings) -> dict[Path, str]:
    paths = {
        "CILAKE_SPARK_CLASSES": f"{layout.lib}/*",
        "CILAKE_SPARK_SCRATCH": str(layout.data / "spark"),
    }
    names = ("spark/embedded.properties", "spark/spark.properties")
    return {layout.run / "spark" / "spark.properties": templates.fill({**settings, **paths}, *names)}


def _spark_healthy(layout: Layout, settings: Settings) -> bool:
    return processes.listening(int(settings["CILAKE_PORT_SPARK"]))


# ---- Airflow


def airflow_environment(layout: Layout, settings: Settings) -> dict[str, str]:
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
    environment = templates.variables("airflow/airflow.env")
    environment |= {f"AIRFLOW__{name}": value for name, value in options.items()}
    environment["AIRFLOW_HOME"] = str(layout.airflow_home)
    # Airflow looks for its own programs on PATH; the jobs are started by their full path.
    environment["PATH"] = f"{layout.envs / 'airflow' / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    environment["JAVA_HOME"] = str(java.for_spark(layout).home)
    return environment


def _airflow(*args: str) -> Callable[[Layout, Settings], list[str]]:
    return lambda layout, settings: [str(layout.bin("airflow", "airflow")), *args]


def _airflow_healthy(component: str) -> Callable[[Layout, Settings], bool]:
    def healthy(layout: Layout, settings: Settings) -> bool:
        body = answers(f"{settings['CILAKE_AIRFLOW_URL']}/api/v2/monitor/health", timeout=10)
        if not body:
            return False
        return bool(json.loads(body).get(component, {}).get("status") == "healthy")

    return healthy


# ---- the job server


def job_socket(settings: Settings) -> Path:
    """Return the socket at which tasks hand their commands over."""
    return Path(settings["CILAKE_JOB_SERVER"])


def _jobs_command(layout: Layout, settings: Settings) -> list[str]:
    return [str(layout.bin("jobs", "cilake")), "serve", str(job_socket(settings))]


def _jobs_healthy(layout: Layout, settings: Settings) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(job_socket(settings)))
        except OSError:
            return False
        return True


# ---- Superset


def _superset_healthy(layout: Layout, settings: Settings) -> bool:
    return answers(f"{settings['CILAKE_SUPERSET_URL']}/health", timeout=10) == b"OK"


# ---- the simulator


def ciworld_arguments(layout: Layout) -> Path:
    """Return the file with the arguments of the next start of the simulator, a JSON list."""
    return layout.data / "ciworld.json"


def ciworld_state(layout: Layout) -> Path:
    """Return the file in which the simulator keeps its clock and faults, for when it is killed."""
    return layout.data / "ciworld-state.json"


def _ciworld_command(layout: Layout, settings: Settings) -> list[str]:
    path = ciworld_arguments(layout)
    args = json.loads(path.read_text()) if path.exists() else ["--synthetic", "--seed", "7"]
    command = [str(layout.bin("jobs", "ciworld")), "serve", "--port", settings["CILAKE_PORT_CIWORLD"]]
    return [*command, "--state", str(ciworld_state(layout)), *args]


def _ciworld_healthy(layout: Layout, settings: Settings) -> bool:
    return bool(answers(f"{settings['CILAKE_CIWORLD_URL']}/_ciworld/clock", timeout=10))


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
        _s3_command,
        _s3_healthy,
        environment=_s3_environment,
        files=_s3_files,
        ports=_s3_ports,
    ),
    Service(
        "spark",
        _spark_command,
        _spark_healthy,
        environment=_spark_environment,
        secrets=("CILAKE_S3_ACCESS_KEY", "CILAKE_S3_SECRET_KEY"),  # its Python workers read and write files
        files=_spark_files,
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
        _airflow("api-server"),
        _airflow_healthy("metadatabase"),
        environment=airflow_environment,
        needs=("postgres",),
        ports=_own_port("CILAKE_PORT_AIRFLOW"),
        reaped=True,
    ),
    Service(
        "airflow-dag-processor",
        _airflow("dag-processor"),
        _airflow_healthy("dag_processor"),
        environment=airflow_environment,
        needs=("airflow-api-server",),
        reaped=True,
    ),
    Service(
        "airflow-triggerer",
        _airflow("triggerer", "--skip-serve-logs"),
        _airflow_healthy("triggerer"),
        environment=airflow_environment,
        needs=("airflow-api-server",),
        reaped=True,
    ),
    Service(
        "airflow-scheduler",
        _airflow("scheduler", "--skip-serve-logs"),
        _airflow_healthy("scheduler"),
        environment=airflow_environment,
        needs=("airflow-api-server",),
        reaped=True,
    ),
    Service("jobs", _jobs_command, _jobs_healthy),
    Service(
        "superset",
        superset.command,
        _superset_healthy,
        environment=superset.environment,
        secrets=superset.SECRETS,
        needs=("postgres", "trino"),
        ports=_own_port("CILAKE_PORT_SUPERSET"),
    ),
    Service(
        "ciworld",
        _ciworld_command,
        _ciworld_healthy,
        ports=_own_port("CILAKE_PORT_CIWORLD"),
        by_default=False,
    ),
)
"""Every service in the order of starting; they stop in the opposite order."""

BY_NAME = {service.name: service for service in SERVICES}
