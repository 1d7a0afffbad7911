"""Superset in the embedded stack: its command, its database and users, and the import of the dashboards."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from deploy.local import configuration
from deploy.local.configuration import Settings
from deploy.local.errors import StackError
from deploy.local.layout import REPO, Layout
from deploy.local.services.probe import answers
from deploy.superset.guide_queries import GUIDES

from cilake.log import logger

SOURCES = REPO / "deploy" / "superset"
DASHBOARDS = REPO / "dashboards"
SECRETS = ("CILAKE_SUPERSET_SECRET_KEY", "CILAKE_SUPERSET_GUEST_SECRET")
_OF_USERS = ("CILAKE_SUPERSET_PASSWORD", "CILAKE_SUPERSET_VIEWER_PASSWORD")
_ADDRESSES = ("CILAKE_PORT_TRINO", "CILAKE_AIRFLOW_URL")


def command(layout: Layout, settings: Settings) -> list[str]:
    """Return the command line: one worker with a few threads, as a chart waits for Trino, not for Python."""
    args = [str(layout.bin("superset", "gunicorn")), "--workers", "1", "--worker-class", "gthread"]
    args += ["--threads", "6", "--timeout", "120", "--access-logfile", "/dev/null"]
    return [*args, "--bind", f"127.0.0.1:{settings['CILAKE_PORT_SUPERSET']}", "superset.app:create_app()"]


def environment(layout: Layout, settings: Settings) -> dict[str, str]:
    """Return Superset's configuration file and the paths it reads from the environment."""
    login = f"superset:{settings['CILAKE_SUPERSET_DB_PASSWORD']}@127.0.0.1:{settings['CILAKE_PORT_POSTGRES']}"
    return {
        "PYTHONPATH": str(SOURCES),
        "SUPERSET_HOME": str(layout.data / "superset"),
        "FLASK_APP": "superset.app:create_app()",
        "CILAKE_SUPERSET_DATABASE_URI": f"postgresql+psycopg2://{login}/superset",
        # Trino needs no login here; its catalog is read-only and queries are known by this user.
        "CILAKE_SUPERSET_TRINO_URI": f"trino://superset@127.0.0.1:{settings['CILAKE_PORT_TRINO']}/lake",
    }


def healthy(layout: Layout, settings: Settings) -> bool:
    """Return whether it responds."""
    return answers(f"{settings['CILAKE_SUPERSET_URL']}/health", timeout=10) == b"OK"


def prepare(layout: Layout, settings: Settings) -> None:
    """Prepare Superset's database, roles and users; quick when its requirements did not change."""
    inputs = [REPO / "requirements" / "superset.txt", SOURCES / "assets.py", SOURCES / "viewer_role.py"]
    _once(layout, settings, "prepare", inputs)


def import_dashboards(
    layout: Layout, settings: Settings, guides: Path = REPO, *, overwrite: bool = False
) -> None:
    """Import the dashboards of the files and the saved queries of the guides. Trino must be up.

    `guides` is the folder with the guides. Nothing is done while files, guides and addresses do not
    change, so that what people changed in Superset stays; `overwrite` brings the files back.
    """
    if overwrite:
        _stamp(layout, "import").unlink(missing_ok=True)
    files = sorted(DASHBOARDS.rglob("*.yaml"))
    if files:
        inputs = [*files, *(guides / name for name in GUIDES), *sorted(SOURCES.glob("*.py"))]
        args = [str(DASHBOARDS), "--guides", str(guides), *(["--overwrite"] if overwrite else [])]
        _once(layout, settings, "import", inputs, *args)


def export_dashboards(layout: Layout, settings: Settings, folder: Path = DASHBOARDS) -> None:
    """Write what people changed in Superset back to the files."""
    _run(layout, settings, ["export", str(folder)])
    logger.info(f"{folder}: written; look at `git diff` before you commit")


def forget(layout: Layout) -> None:
    """Remove the stamps, so that the next start prepares and imports again: the database is new."""
    for verb in ("prepare", "import"):
        _stamp(layout, verb).unlink(missing_ok=True)


def _stamp(layout: Layout, verb: str) -> Path:
    return layout.data / f"superset-{verb}.stamp"


def _once(layout: Layout, settings: Settings, verb: str, inputs: list[Path], *args: str) -> None:
    digest = hashlib.sha256(" ".join(settings[name] for name in _ADDRESSES).encode())
    for path in inputs:
        digest.update(str(path).encode() + path.read_bytes())
    stamp = _stamp(layout, verb)
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    logger.info(
        {"prepare": "Superset: preparing the database", "import": "Superset: importing the dashboards"}[verb]
    )
    _run(layout, settings, [verb, *args])
    stamp.write_text(digest.hexdigest())


def _run(layout: Layout, settings: Settings, args: list[str]) -> None:
    (layout.data / "superset").mkdir(parents=True, exist_ok=True)
    secrets = (*SECRETS, *_OF_USERS) if args[0] == "prepare" else SECRETS
    variables = configuration.environment(layout, settings, *secrets) | environment(layout, settings)
    log = layout.log / f"superset-{args[0]}.log"
    program: list[str | Path] = [layout.bin("superset", "python"), SOURCES / "assets.py", *args]
    with log.open("wb") as output:
        done = subprocess.run(
            program, env=variables, stdout=output, stderr=output, check=False, cwd=layout.data / "superset"
        )
    if done.returncode != 0:
        raise StackError(f"Superset's {args[0]} failed: see {log}")
