"""Superset from the command line: its database and admin, and the dashboards as files.

Runs in the Superset environment. ``prepare`` brings the metadata database up to date and makes the admin,
``import`` replaces all assets by the files of a folder (Trino must be up), ``export`` writes them back to it,
sorted and without what differs from one installation to the next.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml

PLACE = "trino://superset@trino:8080/lake"
"""The address of Trino in the files; CILAKE_SUPERSET_TRINO_URI replaces it on import and not on export."""

KINDS = ("databases", "datasets", "charts", "dashboards")
# What only says when and where something was exported, and what Superset notes when somebody looks at a
# dashboard; UUIDs are what links assets.
VOLATILE = {
    "timestamp",
    "last_changed",
    "changed_on",
    "created_on",
    "impersonate_user_id",
    "datasource",
    "slice_id",
    "color_scheme_domain",
    "map_label_colors",
    "shared_label_colors",
}
NUMBERED = {"chartsInScope": [], "tabsInScope": []}
"""Entries that hold the numbers of one installation and are found again; what the files have instead."""


def main() -> int:
    """The exit code: 0 when done, 1 with one line when not."""
    parser = argparse.ArgumentParser(prog="assets.py", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare", help="database, roles and the admin")
    for verb, text in (("import", "assets from the folder"), ("export", "assets into the folder")):
        verbs.add_parser(verb, help=text).add_argument("folder", type=Path)
    verbs.choices["import"].add_argument(
        "--record", type=Path, help="remembers what was imported, so that what left the files is removed"
    )
    arguments = parser.parse_args()

    from superset.app import create_app

    app = create_app()
    with app.app_context():
        if arguments.verb == "prepare":
            _prepare(app)
        elif arguments.verb == "import":
            print(f"imported {_import(arguments.folder, arguments.record)} assets")
        else:
            print(f"exported {_export(arguments.folder)} assets")
    return 0


def _prepare(app: Any) -> None:
    import flask_migrate
    import superset
    from superset.extensions import security_manager

    flask_migrate.upgrade(directory=str(Path(superset.__file__).parent / "migrations"))
    app.appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    # The password comes from the environment: on a command line every user of the machine could read it.
    password = os.environ["CILAKE_SUPERSET_PASSWORD"]
    admin = security_manager.find_user("admin")
    if admin is None:
        admin = security_manager.add_user(
            "admin",
            "cilake",
            "admin",
            "admin@localhost",
            security_manager.find_role("Admin"),
            password=password,
        )
    else:
        security_manager.reset_password(admin.id, password)
    if not admin:
        sys.exit("the admin of Superset could not be made: its reason is above")


def _import(folder: Path, record: Path | None) -> int:
    from flask import g
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.extensions import security_manager

    contents = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.yaml"))
    }
    address = os.environ["CILAKE_SUPERSET_TRINO_URI"]
    for name in contents:
        if name.startswith("databases/"):
            contents[name] = contents[name].replace(PLACE, address)
    g.user = security_manager.find_user("admin")
    ImportAssetsCommand(contents).run()
    if record:
        present = {yaml.safe_load(text).get("uuid") for text in contents.values()} - {None}
        known = set(record.read_text().split()) if record.exists() else set()
        _remove(known - present)
        record.write_text("\n".join(sorted(present)))
    return len(contents) - 1


def _remove(uuids: set[str]) -> None:
    """Remove what an earlier import brought and the files no longer have; what people made stays."""
    from superset.connectors.sqla.models import SqlaTable
    from superset.extensions import db
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    for kind in (Dashboard, Slice, SqlaTable):
        for asset in db.session.query(kind).filter(kind.uuid.in_(uuids)).all() if uuids else ():
            db.session.delete(asset)
    db.session.commit()


def _export(folder: Path) -> int:
    from flask import g
    from superset.commands.export.assets import ExportAssetsCommand
    from superset.extensions import security_manager

    g.user = security_manager.find_user("admin")
    address = os.environ["CILAKE_SUPERSET_TRINO_URI"]
    written = set()
    for name, content in ExportAssetsCommand().run():
        kind = name.split("/")[0]
        if kind not in KINDS:
            continue
        asset = yaml.safe_load(content())
        if kind == "dashboards":
            number_charts(asset)
        path = folder / _address(kind, name, asset)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(clean(asset), sort_keys=True, allow_unicode=True, width=110)
        path.write_text(text.replace(address, PLACE), encoding="utf-8")
        written.add(path)
    for kind in KINDS:
        for path in (folder / kind).rglob("*.yaml"):
            if path not in written:
                path.unlink()
    return len(written)


def _address(kind: str, name: str, asset: dict[str, Any]) -> str:
    """Where an asset is filed: by what it is called, without the numbers of one installation."""
    if kind == "datasets":
        return f"datasets/{asset.get('schema') or 'views'}/{asset['table_name']}.yaml"
    title = asset.get("slice_name") or asset.get("slug") or asset.get("database_name") or Path(name).stem
    return f"{kind}/{re.sub(r'[^a-z0-9]+', '_', title.lower()).strip('_')}.yaml"


def number_charts(dashboard: dict[str, Any]) -> None:
    """Number the charts of a dashboard from 1 by their UUIDs, where they stand and where filters name them.

    An installation has numbers of its own; an import translates those of the file by the UUIDs.
    """
    charts = [item["meta"] for item in dashboard["position"].values() if _is_chart(item)]
    numbers = {chart["chartId"]: n for n, chart in enumerate(sorted(charts, key=itemgetter("uuid")), start=1)}
    for chart in charts:
        chart["chartId"] = numbers[chart["chartId"]]
    for chosen in dashboard["metadata"].get("native_filter_configuration", []):
        excluded = chosen.get("scope", {}).get("excluded", [])
        excluded[:] = sorted(numbers[number] for number in excluded if number in numbers)


def _is_chart(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "CHART"


def clean(value: Any) -> Any:
    """The asset without empty and volatile entries, so that an export without a change changes no file."""
    if isinstance(value, dict):
        kept = {key: NUMBERED.get(key, clean(item)) for key, item in value.items() if key not in VOLATILE}
        return {key: item for key, item in kept.items() if item is not None}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


if __name__ == "__main__":
    sys.exit(main())
