"""`make urls`: where everything is, and who may log in."""

from __future__ import annotations

import argparse
import json

from deploy.local import configuration
from deploy.local.commands.command import Command
from deploy.local.layout import Layout


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")


def _urls(arguments: argparse.Namespace, here: Layout) -> int:
    print_urls(here, as_json=arguments.json)
    return 0


def print_urls(layout: Layout, *, as_json: bool) -> None:
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


COMMANDS = (Command("urls", _urls, _arguments),)
