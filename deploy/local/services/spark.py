"""Spark: the Connect server, by itself or on a cluster of two workers, and how each is known to work.

``CILAKE_SPARK=cluster`` in the environment of `make up` chooses the cluster. It is there to see how jobs fare
on one, not to be faster: all of it runs on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from deploy.local import processes
from deploy.local.configuration import Settings
from deploy.local.install import java
from deploy.local.layout import REPO, Layout
from deploy.local.services.probe import answers

from deploy import templates

WORKERS = (1, 2)
MASTER = "spark-master"
_CLUSTER = ("spark/cluster.properties", "spark/daemon.properties")
_EMBEDDED = ("spark/embedded.properties",)
_WORKER_MEMORY = "768m"


def is_cluster(settings: Settings) -> bool:
    """Return whether Spark is to run on a cluster."""
    return settings["CILAKE_SPARK"] == "cluster"


def worker_name(number: int) -> str:
    """Return the name of the service that is this worker."""
    return f"spark-worker-{number}"


def command(layout: Layout, settings: Settings) -> list[str]:
    """Return the command line of the Connect server."""
    submit = _program(layout, "spark-submit")
    args = [submit, "--properties-file", str(layout.run / "spark" / "spark.properties")]
    return [*args, str(REPO / "deploy" / "spark" / "connect_server.py")]


def master_command(layout: Layout, settings: Settings) -> list[str]:
    """Return the command line of the cluster's master."""
    host, _, port = _master(settings).rpartition(":")
    args = ["org.apache.spark.deploy.master.Master", "--host", host, "--port", port]
    args += ["--webui-port", str(_ui_port(settings))]
    return [_program(layout, "spark-class"), *args, "--properties-file", str(_daemon_file(layout))]


def worker_command(number: int) -> Callable[[Layout, Settings], list[str]]:
    """Return what makes the command line of a worker."""

    def command(layout: Layout, settings: Settings) -> list[str]:
        folder = layout.data / "spark" / worker_name(number)
        args = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0"]
        args += ["--cores", "1", "--memory", _WORKER_MEMORY, "--work-dir", str(folder)]
        args += ["--properties-file", str(_daemon_file(layout)), f"spark://{_master(settings)}"]
        return [_program(layout, "spark-class"), *args]

    return command


def environment(layout: Layout, settings: Settings) -> dict[str, str]:
    """Return the paths of its Java, its programs and its logs."""
    return {
        "JAVA_HOME": str(java.for_spark(layout).home),
        "SPARK_HOME": str(layout.site_packages("jobs") / "pyspark"),
        "SPARK_LOG_DIR": str(layout.log),
        "SPARK_DAEMON_MEMORY": "256m",
    }


def files(layout: Layout, settings: Settings) -> dict[Path, str]:
    """Return its properties, those of the containers with what differs here."""
    names = _CLUSTER if is_cluster(settings) else _EMBEDDED
    text = templates.fill(_values(layout, settings), *names, "spark/spark.properties")
    return {layout.run / "spark" / "spark.properties": text}


def daemon_files(layout: Layout, settings: Settings) -> dict[Path, str]:
    """Return the properties of the master and the workers, and those with which a job is submitted."""
    folder = layout.run / "spark"
    return {
        _daemon_file(layout): templates.fill(settings, "spark/daemon.properties"),
        folder / "submit.properties": templates.fill(
            _values(layout, settings), *_CLUSTER, "spark/submit.properties"
        ),
    }


def _values(layout: Layout, settings: Settings) -> dict[str, str]:
    return {
        **settings,
        "CILAKE_SPARK_CLASSES": f"{layout.lib}/*",
        "CILAKE_SPARK_SCRATCH": str(layout.data / "spark"),
        "CILAKE_SPARK_MASTER": _master(settings),
        "CILAKE_SPARK_DRIVER": "127.0.0.1",
        "CILAKE_SPARK_BIND": "127.0.0.1",
        "CILAKE_SPARK_EXECUTOR_MEMORY": _WORKER_MEMORY,
        "CILAKE_SPARK_WORKER_CORES": "1",
    }


def healthy(layout: Layout, settings: Settings) -> bool:
    """Return whether the Connect server accepts connections."""
    return processes.listening(int(settings["CILAKE_PORT_SPARK"]))


def master_healthy(layout: Layout, settings: Settings) -> bool:
    """Return whether the master accepts connections."""
    return processes.listening(int(settings["CILAKE_PORT_SPARK_MASTER"]))


def worker_healthy(number: int) -> Callable[[Layout, Settings], bool]:
    """Return what says whether so many workers have joined the cluster."""

    def joined(layout: Layout, settings: Settings) -> bool:
        status = answers(f"http://127.0.0.1:{_ui_port(settings)}/json/")
        return int(json.loads(status or "{}").get("aliveworkers", 0)) >= number

    return joined


def master_ports(settings: Settings) -> dict[int, str]:
    """Return the ports of the master: for the cluster, and the next one for people."""
    setting = "CILAKE_PORT_SPARK_MASTER"
    return {int(settings[setting]): setting, _ui_port(settings): setting}


def _master(settings: Settings) -> str:
    return f"127.0.0.1:{settings['CILAKE_PORT_SPARK_MASTER']}"


def _ui_port(settings: Settings) -> int:
    return int(settings["CILAKE_PORT_SPARK_MASTER"]) + 1


def _daemon_file(layout: Layout) -> Path:
    return layout.run / "spark" / "daemon.properties"


def _program(layout: Layout, name: str) -> str:
    return str(layout.site_packages("jobs") / "pyspark" / "bin" / name)
