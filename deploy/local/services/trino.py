"""Trino in the embedded stack: its command, its configuration and how it is known to work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local.configuration import CATALOG_READER, Settings
from deploy.local.install import java
from deploy.local.layout import Layout
from deploy.local.services.probe import answers

from deploy import templates

OPERATOR = "operator"
LOGINS = {
    "analyst": ("analysts", "CILAKE_TRINO_ANALYST_PASSWORD"),
    "superset": ("analysts", "CILAKE_TRINO_SUPERSET_PASSWORD"),
    OPERATOR: ("operators", "CILAKE_TRINO_OPERATOR_PASSWORD"),
}
"""The first users of Trino, each with its group and the setting of its password."""


def command(layout: Layout, settings: Settings) -> list[str]:
    """Return the server itself: its own launcher insists on the JVM options of a newer Java."""
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


def environment(layout: Layout, settings: Settings) -> dict[str, str]:
    """Return what the configuration files read from the environment, the secrets among them."""
    own = {
        "CILAKE_TRINO_HTTP_PORT": settings["CILAKE_PORT_TRINO"],
        "CILAKE_TRINO_DISCOVERY": settings["CILAKE_TRINO_URL"],
        "CILAKE_TRINO_QUERY_MEMORY": "400MB",
        "CILAKE_TRINO_HEADROOM": "250MB",
        # Its catalog is read-only, and so are its logins.
        "CILAKE_CATALOG_USER": CATALOG_READER,
        "CILAKE_CATALOG_PASSWORD": settings["CILAKE_CATALOG_READER_PASSWORD"],
        "CILAKE_S3_ACCESS_KEY": settings["CILAKE_S3_READER_ACCESS_KEY"],
        "CILAKE_S3_SECRET_KEY": settings["CILAKE_S3_READER_SECRET_KEY"],
    }
    wanted = templates.asked_for("".join(files(layout, settings).values()))
    return {name: own[name] if name in own else settings[name] for name in wanted}


def files(layout: Layout, settings: Settings) -> dict[Path, str]:
    """Return the configuration files: those of the containers without the login and the resource groups.

    Secrets stay in the environment. Trino looks for who may do what in the folder `etc` where it works.
    """
    etc, own = layout.run / "trino", layout.cwd / "trino" / "etc"
    # The version of the containers has a shorter name for this switch than the one here.
    catalog = templates.read("trino/lake.properties")
    catalog = catalog.replace("fs.s3.enabled", "fs.native-s3.enabled")
    return {
        etc / "config.properties": templates.read(
            "trino/server.properties", "trino/coordinator.properties", "trino/embedded.properties"
        ),
        etc / "catalog" / "lake.properties": catalog,
        etc / "log.properties": templates.read("trino/log.properties"),
        etc / "rules.json": json.dumps(rules_without_login(json.loads(templates.read("trino/rules.json")))),
        own / "access-control.properties": templates.read("trino/access-control.properties").replace(
            "/etc/trino/rules.json", str(etc / "rules.json")
        ),
    }


def rules_without_login(rules: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rules for a server at which nobody logs in and which therefore knows no groups.

    Whoever asks is an analyst, but for who says to be the operator.
    """

    def by_user(rule: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in rule.items() if key != "group"}
        return {"user": OPERATOR, **kept} if rule.get("group") == LOGINS[OPERATOR][0] else kept

    return {section: [by_user(rule) for rule in entries] for section, entries in rules.items()}


def healthy(layout: Layout, settings: Settings) -> bool:
    """Return whether it has started and responds."""
    body = answers(f"{settings['CILAKE_TRINO_URL']}/v1/info")
    return bool(body) and json.loads(body or b"{}").get("starting") is False
