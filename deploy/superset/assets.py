"""Superset from the command line: its database and users, and the dashboards as files.

Runs in the Superset environment. ``prepare`` brings the metadata database up to date and makes the users,
``import`` replaces all assets by the files of a folder, and the saved queries by those of the guides (Trino
must be up), when these are others than at the last import; ``export`` writes the assets back to the folder,
sorted and without what differs from one installation to the next.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import guide_queries
import imported
import saved_queries
import viewer_role
import yaml

TRINO_URI = "CILAKE_SUPERSET_TRINO_URI"
PLACES = {
    TRINO_URI: "trino://superset@trino:8080/lake",
    "CILAKE_AIRFLOW_URL": "http://airflow:8080",
}
"""The addresses in the files, by the variable whose value replaces them in an installation."""

KINDS = ("databases", "datasets", "charts", "dashboards")
SHARED = "shared"
"""The folder of the charts that several dashboards show."""
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
    """Run the command of the command line; return the exit code, 1 with one line when it fails."""
    parser = argparse.ArgumentParser(prog="assets.py", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare", help="database, roles and users")
    for verb, text in (("import", "assets from the folder"), ("export", "assets into the folder")):
        verbs.add_parser(verb, help=text).add_argument("folder", type=Path)
    verbs.choices["import"].add_argument(
        "--overwrite",
        action="store_true",
        help="also when the files did not change: undo what people changed",
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
            _import(arguments.folder, queries, overwrite=arguments.overwrite)
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
    """Make the user with the role and the password of the environment; of one that exists both stay."""
    from superset.extensions import db, security_manager

    user = security_manager.find_user(name)
    if user is None:
        # From the environment: on a command line every user of the machine could read it.
        password = os.environ[variable]
        user = security_manager.add_user(name, "cilake", name, f"{name}@localhost", role, password=password)
    elif role not in user.roles:
        user.roles.append(role)
        db.session.commit()
    if not user:
        sys.exit(f"the user {name} of Superset could not be made: its reason is above")


def _import(folder: Path, queries: list[guide_queries.GuideQuery], *, overwrite: bool) -> None:
    """Import the files and queries that changed since the last import, and print what was done."""
    from superset.extensions import db

    files = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.yaml"))
    }
    known = imported.read(db.session)
    contents = {name: with_addresses(text, os.environ) for name, text in files.items()}
    databases = {
        asset["uuid"]: asset
        for asset in (
            yaml.safe_load(text) for name, text in contents.items() if name.startswith("databases/")
        )
    }
    wanted = files_digest(files, os.environ)
    if overwrite or known.get(imported.DASHBOARDS) != wanted:
        present = _import_files(contents)
        _remove(set(known.get(imported.ASSETS, "").split()) - present)
        imported.keep(db.session, {imported.DASHBOARDS: wanted, imported.ASSETS: "\n".join(sorted(present))})
        print(f"imported {len(contents) - 1} assets")
    else:
        _point_databases(databases)
        print("the files are those of the last import: what people changed since is kept")
    viewer_role.open_databases(databases)
    wanted = imported.digest(f"{query.guide}\n{query.label}\n{query.sql}" for query in queries)
    if overwrite or known.get(imported.GUIDES) != wanted:
        print(f"saved queries of the guides: {saved_queries.replace_copies(queries, next(iter(databases)))}")
        imported.keep(db.session, {imported.GUIDES: wanted})


def files_digest(files: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Return a digest of these files with the addresses of this installation.

    The address of Trino is no part of it: it holds a login, and is followed without an import.
    """
    pages = {name: value for name, value in environment.items() if name != TRINO_URI}
    return imported.digest(
        part for name, text in sorted(files.items()) for part in (name, with_addresses(text, pages))
    )


def _import_files(contents: Mapping[str, str]) -> set[str]:
    """Import the assets and return their UUIDs."""
    from flask import g
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.extensions import security_manager

    g.user = security_manager.find_user("admin")
    ImportAssetsCommand(dict(contents)).run()
    return {yaml.safe_load(text).get("uuid") for text in contents.values()} - {None}


def _point_databases(databases: Mapping[str, Any]) -> None:
    """Set the addresses and logins of this installation in the databases of the files."""
    from superset.extensions import db
    from superset.models.core import Database

    for uuid, asset in databases.items():
        for database in db.session.query(Database).filter_by(uuid=uuid):
            if database.sqlalchemy_uri_decrypted != asset["sqlalchemy_uri"]:
                database.set_sqlalchemy_uri(asset["sqlalchemy_uri"])
    db.session.commit()


def with_addresses(text: str, environment: Mapping[str, str]) -> str:
    """Return the text with the addresses of this installation.

    A link to what it does not have becomes plain text; any other address stays as in the files.
    """
    for variable, location in PLACES.items():
        address = environment.get(variable, "").rstrip("/")
        if not address:
            text = re.sub(rf"\[([^\]]*)\]\({re.escape(location)}[^)]*\)", r"\1", text)
        text = text.replace(location, address or location)
    return text


def without_addresses(value: Any, environment: Mapping[str, str]) -> Any:
    """Return the asset with the addresses of the files instead of those of this installation."""
    if isinstance(value, dict):
        return {key: without_addresses(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [without_addresses(item, environment) for item in value]
    if isinstance(value, str):
        for variable, location in PLACES.items():
            if address := environment.get(variable, "").rstrip("/"):
                value = value.replace(address, location)
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
    assets = [
        (kind, name, yaml.safe_load(content()))
        for name, content in ExportAssetsCommand().run()
        if (kind := name.split("/")[0]) in KINDS
    ]
    folders = chart_folders([asset for kind, _, asset in assets if kind == "dashboards"])
    written = set()
    for kind, name, asset in assets:
        if kind == "dashboards":
            number_charts(asset)
        if kind == "datasets":
            order_parts(asset)
        path = folder / address(kind, name, asset, folders)
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


def chart_folders(dashboards: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the folder of each chart by its UUID: that of its dashboard, or of those on several."""
    folders: dict[str, str] = {}
    for dashboard in dashboards:
        own = _file_name(dashboard["slug"] or dashboard["dashboard_title"])
        for item in dashboard["position"].values():
            if _is_chart(item) and folders.setdefault(item["meta"]["uuid"], own) != own:
                folders[item["meta"]["uuid"]] = SHARED
    return folders


def address(kind: str, name: str, asset: Mapping[str, Any], folders: Mapping[str, str]) -> str:
    """Return where an asset is filed: by what it is called, without the numbers of one installation.

    Charts are in these folders, one that no dashboard shows next to them.
    """
    if kind == "datasets":
        return f"datasets/{asset.get('schema') or 'views'}/{asset['table_name']}.yaml"
    title = asset.get("slice_name") or asset.get("slug") or asset.get("database_name") or Path(name).stem
    within = [folders[asset["uuid"]]] if asset.get("uuid") in folders else []
    return "/".join([kind, *within, f"{_file_name(title)}.yaml"])


def _file_name(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")


def number_charts(dashboard: dict[str, Any]) -> None:
    """Replace the ids of the charts of a dashboard by numbers from 1, in the order of their UUIDs.

    An installation has its own numbers; an import translates those of the file by the UUIDs.
    """
    charts = [item["meta"] for item in dashboard["position"].values() if _is_chart(item)]
    numbers = {chart["chartId"]: n for n, chart in enumerate(sorted(charts, key=itemgetter("uuid")), start=1)}
    for chart in charts:
        chart["chartId"] = numbers[chart["chartId"]]
    for chosen in dashboard["metadata"].get("native_filter_configuration", []):
        excluded = chosen.get("scope", {}).get("excluded", [])
        excluded[:] = sorted(numbers[number] for number in excluded if number in numbers)


def order_parts(dataset: dict[str, Any]) -> None:
    """Put the columns and metrics of a dataset in order by name, links and other computed columns first.

    Superset's own order changes with every change; people see the file's, as in *Drill to detail*.
    """
    dataset["columns"].sort(key=lambda column: (not column.get("expression"), column["column_name"]))
    dataset["metrics"].sort(key=itemgetter("metric_name"))


def _is_chart(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "CHART"


def clean(value: Any) -> Any:
    """Return the asset without empty and volatile entries: an export without a change changes no file."""
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
