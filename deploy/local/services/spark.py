"""Spark Connect: its command, its properties and how it is known to work."""

from __future__ import annotations

from pathlib import Path

from deploy.local import processes
from deploy.local.configuration import Settings
from deploy.local.install import java
from deploy.local.layout import REPO, Layout

from deploy import templates


def command(layout: Layout, settings: Settings) -> list[str]:
    """Return the command line of the server."""
    submit = layout.site_packages("jobs") / "pyspark" / "bin" / "spark-submit"
    args = [str(submit), "--properties-file", str(layout.run / "spark" / "spark.properties")]
    return [*args, str(REPO / "deploy" / "spark" / "connect_server.py")]


def environment(layout: Layout, settings: Settings) -> dict[str, str]:
    """Return the paths of its Java, its programs and its logs."""
    return {
        "JAVA_HOME": str(java.for_spark(layout).home),
        "SPARK_HOME": str(layout.site_packages("jobs") / "pyspark"),
        "SPARK_LOG_DIR": str(layout.log),
    }


def files(layout: Layout, settings: Settings) -> dict[Path, str]:
    """Return its properties, those of the containers with what differs here."""
    paths = {
        "CILAKE_SPARK_CLASSES": f"{layout.lib}/*",
        "CILAKE_SPARK_SCRATCH": str(layout.data / "spark"),
    }
    names = ("spark/embedded.properties", "spark/spark.properties")
    return {layout.run / "spark" / "spark.properties": templates.fill({**settings, **paths}, *names)}


def healthy(layout: Layout, settings: Settings) -> bool:
    """Return whether it accepts connections."""
    return processes.listening(int(settings["CILAKE_PORT_SPARK"]))
