"""The stack's settings: ports, generated secrets and everything the jobs read, in one file of mode 600."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.layout import REPO, Layout

from cilake.variables import read_variables

Settings = Mapping[str, str]
"""The settings of a stack, by name."""

PORTS = {
    "CILAKE_PORT_POSTGRES": 18432,
    "CILAKE_PORT_S3": 18333,
    "CILAKE_PORT_SPARK": 18402,
    "CILAKE_PORT_SPARK_MASTER": 18403,
    "CILAKE_PORT_TRINO": 18480,
    "CILAKE_PORT_AIRFLOW": 18488,
    "CILAKE_PORT_SUPERSET": 18489,
    "CILAKE_PORT_CIWORLD": 18490,
}
"""Every configurable port with its default, below those of outgoing connections (on Linux from 32768 on): one
of these could hold a port before its service does, and a question to the service would reach itself."""

S3_BLOCK = {
    "s3.port": 0,
    "master.port": 1,
    "volume.port": 2,
    "filer.port": 3,
    "s3.port.iceberg": 4,
    "admin.port": 5,
    "master.port.grpc": 11,
    "volume.port.grpc": 12,
    "filer.port.grpc": 13,
    "s3.port.grpc": 14,
    "admin.port.grpc": 15,
}
"""SeaweedFS listens on several ports: each is CILAKE_PORT_S3 plus this number."""

SPARK_KINDS = ("local", "cluster")
"""Spark as one process, or as a cluster: a master and two workers, to see how jobs fare on one."""

DEFAULTS = {
    "CILAKE_TESTGRID_URL": "https://testgrid.k8s.io",
    "CILAKE_TESTGRID_DASHBOARDS": "*",
    "CILAKE_SPARK": "local",
    "CILAKE_SPARK_MEMORY": "2g",
    "CILAKE_TRINO_MEMORY": "1G",
    "CILAKE_S3_REGION": "us-east-1",
    "CILAKE_WAREHOUSE": "s3://lake/warehouse",
    "CILAKE_ARTIFACTS": "s3://lake/models",
}
"""What a person may set in the environment of `up`; kept in the settings file from then on."""

_SECRETS = (
    "CILAKE_SPARK_SECRET",
    "CILAKE_POSTGRES_PASSWORD",
    "CILAKE_CATALOG_PASSWORD",
    "CILAKE_CATALOG_READER_PASSWORD",
    "CILAKE_AIRFLOW_DB_PASSWORD",
    "CILAKE_AIRFLOW_PASSWORD",
    "CILAKE_AIRFLOW_VIEWER_PASSWORD",
    "CILAKE_AIRFLOW_JWT_SECRET",
    "CILAKE_AIRFLOW_SECRET_KEY",
    "CILAKE_SUPERSET_DB_PASSWORD",
    "CILAKE_SUPERSET_PASSWORD",
    "CILAKE_SUPERSET_VIEWER_PASSWORD",
    "CILAKE_SUPERSET_SECRET_KEY",
    "CILAKE_SUPERSET_GUEST_SECRET",
    "CILAKE_S3_ACCESS_KEY",
    "CILAKE_S3_SECRET_KEY",
    "CILAKE_S3_READER_ACCESS_KEY",
    "CILAKE_S3_READER_SECRET_KEY",
    "CILAKE_S3_INTERNAL_SECRET",
    "CILAKE_TRINO_SHARED_SECRET",
    "SPARK_CONNECT_AUTHENTICATE_TOKEN",
    "CILAKE_SPARK_SECRET",
)

OF_THE_WORK = (
    "CILAKE_CATALOG_PASSWORD",
    "CILAKE_S3_ACCESS_KEY",
    "CILAKE_S3_SECRET_KEY",
    "SPARK_CONNECT_AUTHENTICATE_TOKEN",
)
"""The secrets with which the jobs read and write the lake."""

_SECRET_ENDINGS = ("PASSWORD", "SECRET", "TOKEN", "_KEY")
_OURS = ("CILAKE_", "SPARK_", "AIRFLOW")

AIRFLOW_USERS = {"admin": "CILAKE_AIRFLOW_PASSWORD", "viewer": "CILAKE_AIRFLOW_VIEWER_PASSWORD"}
"""The users of Airflow, each with the setting of its password; their roles have the same names."""

CATALOG_READER = "iceberg_reader"
"""The user of the catalog's database that can only read; `postgres/reader.sql` makes it."""

_READING = {
    "CILAKE_CATALOG_URI": "CILAKE_CATALOG_URI",
    "CILAKE_CATALOG_PASSWORD": "CILAKE_CATALOG_READER_PASSWORD",
    "CILAKE_WAREHOUSE": "CILAKE_WAREHOUSE",
    "CILAKE_S3_ENDPOINT": "CILAKE_S3_ENDPOINT",
    "CILAKE_S3_REGION": "CILAKE_S3_REGION",
    "CILAKE_S3_ACCESS_KEY": "CILAKE_S3_READER_ACCESS_KEY",
    "CILAKE_S3_SECRET_KEY": "CILAKE_S3_READER_SECRET_KEY",
    "CILAKE_TRINO_URL": "CILAKE_TRINO_URL",
    "CILAKE_SUPERSET_URL": "CILAKE_SUPERSET_URL",
    "CILAKE_AIRFLOW_URL": "CILAKE_AIRFLOW_URL",
}
"""The settings of a reader, each with the setting of the stack that it comes from."""


def write_private(path: Path, text: str) -> None:
    """Write the text to a file of mode 600, never half-written and never readable by others in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
    temporary.replace(path)


def read(layout: Layout) -> dict[str, str]:
    """Return the settings as last written, or nothing before the first `up`."""
    if not layout.settings_file.exists():
        return {}
    return read_variables(layout.settings_file.read_text())


def require(layout: Layout) -> dict[str, str]:
    """Return the settings, or one clear line when the stack was never started."""
    found = read(layout)
    if not found:
        raise StackError("the stack was never started here: run `make up`")
    return found


def prepare(layout: Layout, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Write and return the settings: the environment wins over what was kept, that over the defaults."""
    kept = read(layout)
    settings: dict[str, str] = {}
    for name, port in PORTS.items():
        settings[name] = str(_port(name, os.environ.get(name) or kept.get(name) or str(port)))
    for name, default in DEFAULTS.items():
        settings[name] = os.environ.get(name) or kept.get(name) or default
    if settings["CILAKE_SPARK"] not in SPARK_KINDS:
        raise StackError(f"CILAKE_SPARK={settings['CILAKE_SPARK']} is none of {', '.join(SPARK_KINDS)}")
    settings |= of_sources(kept) | of_sources(os.environ)
    for name in _SECRETS:
        settings[name] = kept.get(name) or secrets.token_hex(20)
    settings["CILAKE_AIRFLOW_FERNET_KEY"] = (
        kept.get("CILAKE_AIRFLOW_FERNET_KEY") or base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    )
    settings |= _derived(layout, settings)
    settings |= dict(changes or {})
    for name, value in settings.items():
        if "\n" in value:
            raise StackError(f"{name} must be one line")
    text = "# Written by `make up`; holds secrets. Values from the environment replace these.\n"
    text += "".join(f"{name}={value}\n" for name, value in settings.items())
    if not layout.settings_file.exists() or layout.settings_file.read_text() != text:
        write_private(layout.settings_file, text)
    reader = reader_text(settings)
    if not layout.reader_file.exists() or layout.reader_file.read_text() != reader:
        write_private(layout.reader_file, reader)
    passwords = {user: settings[name] for user, name in AIRFLOW_USERS.items()}
    write_private(layout.airflow_passwords, json.dumps(passwords))
    return settings


def of_sources(given: Mapping[str, str]) -> dict[str, str]:
    """Return those of the settings that are a source's own, which its name begins: ``CILAKE_<NAME>_…``."""
    folders = (REPO / "jobs" / "cilake" / "sources").glob("*/settings.py")
    prefixes = tuple(f"CILAKE_{folder.parent.name.upper()}_" for folder in folders)
    return {name: value for name, value in given.items() if name.startswith(prefixes) and value}


def reader_text(settings: Mapping[str, str]) -> str:
    """Return the text of `reader.env`: where the lake is and logins that only read."""
    lines = {name: settings[source] for name, source in _READING.items()}
    lines["CILAKE_CATALOG_USER"] = CATALOG_READER
    text = "# Written by `make up` to be handed out: these logins read the tables and write nothing.\n"
    return text + "".join(f"{name}={value}\n" for name, value in lines.items())


def _derived(layout: Layout, settings: Mapping[str, str]) -> dict[str, str]:
    jars = sorted(str(path) for path in layout.lib.glob("*.jar"))
    return {
        "CILAKE_CATALOG_URI": f"postgresql://127.0.0.1:{settings['CILAKE_PORT_POSTGRES']}/iceberg",
        "CILAKE_CATALOG_USER": "iceberg",
        "CILAKE_S3_ENDPOINT": f"http://127.0.0.1:{settings['CILAKE_PORT_S3']}",
        "CILAKE_SPARK_REMOTE": f"sc://localhost:{settings['CILAKE_PORT_SPARK']}",
        "CILAKE_SPARK_JARS": ",".join(jars),
        "CILAKE_TRINO_URL": f"http://127.0.0.1:{settings['CILAKE_PORT_TRINO']}",
        "CILAKE_AIRFLOW_URL": f"http://127.0.0.1:{settings['CILAKE_PORT_AIRFLOW']}",
        "CILAKE_AIRFLOW_USER": "admin",
        "CILAKE_AIRFLOW_PASSWORD_FILE": str(layout.airflow_passwords),
        "CILAKE_SUPERSET_URL": f"http://127.0.0.1:{settings['CILAKE_PORT_SUPERSET']}",
        "CILAKE_CIWORLD_URL": f"http://127.0.0.1:{settings['CILAKE_PORT_CIWORLD']}",
        "CILAKE_JOB_SERVER": str(layout.socket.with_name("jobs.sock")),
        "CILAKE_DATA_DOCS": str(layout.data_docs),
        "CILAKE_HOME": str(layout.home),
        "CILAKE_ENV_HOME": str(layout.shared),
        "CILAKE_JOBS_PYTHON": str(layout.bin("jobs", "python")),
    }


def _port(name: str, text: str) -> int:
    if not text.isdecimal() or not 1024 <= int(text) <= 65000:
        raise StackError(f"{name}={text} is not a port between 1024 and 65000")
    return int(text)


def is_secret(name: str) -> bool:
    """Return whether the setting of that name is to be known only by who needs it."""
    return name.startswith(_OURS) and name.endswith(_SECRET_ENDINGS)


def environment(layout: Layout, settings: Mapping[str, str], *secrets: str) -> dict[str, str]:
    """Return the environment of a program of the stack: all settings, and of the secrets only those named."""
    jobs_bin = str(layout.envs / "jobs" / "bin")
    dropped = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "SPARK_HOME", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    # What a shell sets for another Airflow would win over the files of this one.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not (name in dropped or name.startswith(("AIRFLOW", "_AIRFLOW")) or is_secret(name))
    }
    # Memory arenas of glibc grow with the number of threads; two keep the JVMs and Airflow small.
    environment |= {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    environment |= {"TZ": "UTC", "AWS_REGION": settings["CILAKE_S3_REGION"], "CILAKE_STACK": layout.marker}
    environment |= {"PYSPARK_PYTHON": settings["CILAKE_JOBS_PYTHON"], "SPARK_LOCAL_IP": "127.0.0.1"}
    environment |= {name: value for name, value in settings.items() if not is_secret(name)}
    environment |= {name: settings[name] for name in secrets}
    environment["PATH"] = os.pathsep.join([jobs_bin, os.environ.get("PATH", os.defpath)])
    return environment
