"""Superset from the command line: its database and users, and the dashboards as files.

Runs in the Superset environment. ``prepare`` brings the metadata database up to date and makes the users,
``import`` replaces all assets by the files of a folder, and the saved queries by those of the guides (Trino
must be up), ``export`` writes the assets back to the folder, sorted and without what differs from one
installation to the next.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import guide_queries
import saved_queries
import viewer_role
import yaml

PLACES = {
    "CILAKE_SUPERSET_TRINO_URI": "trino://superset@trino:8080/lake",
    "CILAKE_AIRFLOW_URL": "http://airflow:8080",
}
"""The addresses in the files, by the variable whose value stands for them in an installation."""

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
    verbs.add_parser("prepare", help="database, roles and users")
    for verb, text in (("import", "assets from the folder"), ("export", "assets into the folder")):
        verbs.add_parser(verb, help=text).add_argument("folder", type=Path)
    verbs.choices["import"].add_argument(
        "--record", type=Path, help="remembers what was imported, so that what left the files is removed"
    )
    verbs.choices["import"].add_argument(
        "--guides", type=Path, default=guide_queries.REPO, help="the folder with README.md and docs"
    )
    arguments = parser.parse_args()

    from superset.app import create_app

    app = create_app()
    with app.app_context():
        if arguments.verb == "prepare":
            _prepare(app)
        elif arguments.verb == "import":
            queries = guide_queries.read_queries(arguments.guides)
            print(f"imported {_import(arguments.folder, arguments.record, queries)} assets")
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
    _ensure_user("admin", security_manager.find_role("Admin"), "CILAKE_SUPERSET_PASSWORD")
    _ensure_user("viewer", viewer_role.ensure_role(), "CILAKE_SUPERSET_VIEWER_PASSWORD")


def _ensure_user(name: str, role: Any, variable: str) -> None:
    """Make the user with the role and the password of the environment; other roles that it has stay."""
    from superset.extensions import db, security_manager

    # The password comes from the environment: on a command line every user of the machine could read it.
    password = os.environ[variable]
    user = security_manager.find_user(name)
    if user is None:
        user = security_manager.add_user(name, "cilake", name, f"{name}@localhost", role, password=password)
    else:
        security_manager.reset_password(user.id, password)
        if role not in user.roles:
            user.roles.append(role)
            db.session.commit()
    if not user:
        sys.exit(f"the user {name} of Superset could not be made: its reason is above")


def _import(folder: Path, record: Path | None, queries: list[guide_queries.GuideQuery]) -> int:
    from flask import g
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.extensions import security_manager

    contents = {
        path.relative_to(folder).as_posix(): with_addresses(path.read_text(encoding="utf-8"), os.environ)
        for path in sorted(folder.rglob("*.yaml"))
    }
    g.user = security_manager.find_user("admin")
    ImportAssetsCommand(contents).run()
    databases = [yaml.safe_load(contents[name])["uuid"] for name in contents if name.startswith("databases/")]
    viewer_role.open_databases(databases)
    print(f"saved queries of the guides: {saved_queries.replace_copies(queries, databases[0])}")
    if record:
        present = {yaml.safe_load(text).get("uuid") for text in contents.values()} - {None}
        known = set(record.read_text().split()) if record.exists() else set()
        _remove(known - present)
        record.write_text("\n".join(sorted(present)))
    return len(contents) - 1


def with_addresses(text: str, environment: Mapping[str, str]) -> str:
    """Return the text with the addresses of this installation.

    A link to what it does not have becomes plain text; any other address stays as in the files.
    """
    for variable, place in PLACES.items():
        address = environment.get(variable, "").rstrip("/")
        if not address:
            text = re.sub(rf"\[([^\]]*)\]\({re.escape(place)}[^)]*\)", r"\1", text)
        text = text.replace(place, address or place)
    return text


def without_addresses(value: Any, environment: Mapping[str, str]) -> Any:
    """Return the asset with the addresses of the files instead of those of this installation."""
    if isinstance(value, dict):
        return {key: without_addresses(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [without_addresses(item, environment) for item in value]
    if isinstance(value, str):
        for variable, place in PLACES.items():
            if address := environment.get(variable, "").rstrip("/"):
                value = value.replace(address, place)
    return value


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
        tidy = clean(without_addresses(asset, os.environ))
        text = yaml.safe_dump(tidy, sort_keys=True, allow_unicode=True, width=110)
        path.write_text(text, encoding="utf-8")
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
        for key in ("code", "css", "sql"):
            if isinstance(kept.get(key), str) and kept[key]:
                kept[key] = _Lines(kept[key])
        return {key: item for key, item in kept.items() if item is not None}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


class _Lines(str):
    """Text of several lines, written line by line."""


yaml.SafeDumper.add_representer(
    _Lines,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"),
)


if __name__ == "__main__":
    sys.exit(main())
