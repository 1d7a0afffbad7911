"""Spark in a container, ``start_spark master|worker|connect``: by the files of ``deploy/spark``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.configuration import is_secret

from deploy import templates

PROPERTIES = Path("/tmp/spark.properties")  # noqa: S108 - the container's own, on memory
FILES = {
    "master": ("spark/daemon.properties",),
    "worker": ("spark/daemon.properties",),
    "connect": ("spark/cluster.properties", "spark/daemon.properties", "spark/spark.properties"),
}


def main() -> None:
    """Replace this process by the Spark process that the command line names."""
    role, environment = sys.argv[1], dict(os.environ)
    descriptor = os.open(PROPERTIES, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(templates.fill(environment, *FILES[role]))
    args = command(role, environment)
    os.execve(args[0], args, without_secrets(environment))  # noqa: S606 - no shell is wanted


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the process and its children; the secrets are in its properties."""
    return {name: value for name, value in environment.items() if not is_secret(name)}


def command(role: str, environment: Mapping[str, str], properties: Path = PROPERTIES) -> list[str]:
    """Return the command line of a role; secrets are in the properties file only."""
    programs = Path(environment["SPARK_HOME"]) / "bin"
    if role == "connect":
        server = templates.DEPLOY / "spark" / "connect_server.py"
        return [str(programs / "spark-submit"), "--properties-file", str(properties), str(server)]
    package = "org.apache.spark.deploy"
    if role == "master":
        host, _, port = environment["CILAKE_SPARK_MASTER"].rpartition(":")
        args = [f"{package}.master.Master", "--host", host, "--port", port, "--webui-port", "8080"]
    else:
        args = [f"{package}.worker.Worker", f"spark://{environment['CILAKE_SPARK_MASTER']}"]
        args += ["--cores", environment["CILAKE_SPARK_WORKER_CORES"]]
        args += ["--memory", environment["CILAKE_SPARK_WORKER_MEMORY"]]
        args += ["--webui-port", "8081", "--work-dir", f"{environment['CILAKE_SPARK_SCRATCH']}/work"]
    return [str(programs / "spark-class"), *args, "--properties-file", str(properties)]


if __name__ == "__main__":
    main()
