"""Trino in the embedded stack: its command, its configuration and how it is known to work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from . import java
from .layout import Layout
from .probe import answers

Settings = Mapping[str, str]


def command(layout: Layout, settings: Settings) -> list[str]:
    """The server itself: its own launcher insists on the JVM options of a newer Java."""
    etc = layout.run / "trino"
    heap = settings["CILAKE_TRINO_MEMORY"]
    return [
        str(java.for_trino(layout).binary),
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:ReservedCodeCacheSize=128M",
        "-XX:-OmitStackTraceInFastThrow",
        "-XX:+EnableDynamicAgentLoading",
        "-Djdk.attach.allowAttachSelf=true",
        "-Djdk.nio.maxCachedBufferSize=2000000",
        "-Dfile.encoding=UTF-8",
        "-Duser.timezone=UTC",
        "-cp",
        f"{layout.trino}/lib/*",
        "-Dnode.environment=cilake",
        "-Dnode.id=embedded",
        f"-Dnode.data-dir={layout.data / 'trino'}",
        "-Dnode.bind-ip=127.0.0.1",
        "-Dnode.internal-address=127.0.0.1",
        f"-Dplugin.dir={layout.trino / 'plugin'}",
        f"-Dcatalog.config-dir={etc / 'catalog'}",
        f"-Dconfig={etc / 'config.properties'}",
        f"-Dlog.levels-file={etc / 'log.properties'}",
        "io.trino.server.TrinoServer",
    ]


def files(layout: Layout, settings: Settings) -> dict[Path, str]:
    """The configuration files with their contents; secrets stay in the environment."""
    etc = layout.run / "trino"
    config = {
        "coordinator": "true",
        "node-scheduler.include-coordinator": "true",
        "http-server.http.port": settings["CILAKE_PORT_TRINO"],
        "http-server.log.enabled": "false",
        "discovery.uri": settings["CILAKE_TRINO_URL"],
        "internal-communication.shared-secret": "${ENV:CILAKE_TRINO_SHARED_SECRET}",
        # Nobody logs in: the server listens on loopback only and its catalog is read-only.
        "web-ui.authentication.type": "fixed",
        "web-ui.user": "analyst",
        "query.max-memory-per-node": "400MB",
        "memory.heap-headroom-per-node": "250MB",
    }
    catalog = {
        "connector.name": "iceberg",
        "iceberg.catalog.type": "jdbc",
        "iceberg.jdbc-catalog.catalog-name": "lake",
        "iceberg.jdbc-catalog.driver-class": "org.postgresql.Driver",
        "iceberg.jdbc-catalog.connection-url": f"jdbc:{settings['CILAKE_CATALOG_URI']}",
        "iceberg.jdbc-catalog.connection-user": settings["CILAKE_CATALOG_USER"],
        "iceberg.jdbc-catalog.connection-password": "${ENV:CILAKE_CATALOG_PASSWORD}",
        "iceberg.jdbc-catalog.default-warehouse-dir": settings["CILAKE_WAREHOUSE"],
        "iceberg.jdbc-catalog.schema-version": "V1",
        "iceberg.security": "read_only",
        "fs.native-s3.enabled": "true",
        "s3.endpoint": settings["CILAKE_S3_ENDPOINT"],
        "s3.region": settings["CILAKE_S3_REGION"],
        "s3.path-style-access": "true",
        "s3.aws-access-key": "${ENV:CILAKE_S3_ACCESS_KEY}",
        "s3.aws-secret-key": "${ENV:CILAKE_S3_SECRET_KEY}",
    }
    rendered = {etc / "config.properties": config, etc / "catalog" / "lake.properties": catalog}
    rendered[etc / "log.properties"] = {"io.trino": "WARN", "io.airlift": "WARN"}
    return {path: "".join(f"{k}={v}\n" for k, v in lines.items()) for path, lines in rendered.items()}


def healthy(layout: Layout, settings: Settings) -> bool:
    """Whether it has started and answers."""
    body = answers(f"{settings['CILAKE_TRINO_URL']}/v1/info")
    return bool(body) and json.loads(body or b"{}").get("starting") is False
