"""What clusters and MWAA need of us: the package as a zip, its script, its requirements and the plugins."""

from __future__ import annotations

import argparse
import shutil
import zipfile
from pathlib import Path

from deploy.local.commands.command import Command
from deploy.local.layout import REPO, Layout

from cilake.log import logger

_FIRST_ZIP_DAY = (1980, 1, 1, 0, 0, 0)
"""The same bytes for the same files: a zip would otherwise hold when it was made."""


def write(folder: Path = REPO / "dist") -> list[Path]:
    """Write package, script and pinned requirements for clusters, and the ``plugins.zip`` of MWAA."""
    folder.mkdir(parents=True, exist_ok=True)
    package, script, requirements, plugins = (
        folder / name for name in ("cilake.zip", "cilake_job.py", "requirements.txt", "plugins.zip")
    )
    sources = {path: path.relative_to(REPO / "jobs") for path in (REPO / "jobs/cilake").rglob("*.py")}
    # The suites are next to the package in the repository and inside it in the zip.
    suites = (REPO / "expectations").rglob("*.json")
    sources |= {path: Path("cilake") / path.relative_to(REPO) for path in suites}
    _zip(package, {name: path.read_bytes() for path, name in sources.items()})
    _zip(plugins, _plugins())
    shutil.copyfile(REPO / "jobs/cilake_job.py", script)
    shutil.copyfile(REPO / "requirements/jobs.txt", requirements)
    for path in (package, script, requirements, plugins):
        logger.info(f"{path}: written")
    return [package, script, requirements, plugins]


def _plugins() -> dict[Path, bytes]:
    """Return the plugin with what it imports of the package: MWAA has no other folder for our code."""
    root = REPO / "plugins"
    contents = {path.relative_to(root): path.read_bytes() for path in root.rglob("*.py")}
    package = REPO / "jobs" / "cilake"
    plain = ("__init__", "errors", "variables", "windows")
    imported = [*(package / f"{name}.py" for name in plain), *(package / "contracts").rglob("*.py")]
    contents |= {path.relative_to(REPO / "jobs"): path.read_bytes() for path in imported}
    # The plugin manager would otherwise execute the modules of the packages one by one.
    ignored = (root / ".airflowignore").read_bytes().rstrip(b"\n") + b"\ncilake/\n"
    return contents | {Path(".airflowignore"): ignored}


def _zip(target: Path, contents: dict[Path, bytes]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(contents.items()):
            archive.writestr(zipfile.ZipInfo(name.as_posix(), _FIRST_ZIP_DAY), data, zipfile.ZIP_DEFLATED)


def _dist(arguments: argparse.Namespace, here: Layout) -> int:
    write()
    return 0


COMMANDS = (Command("dist", _dist),)
