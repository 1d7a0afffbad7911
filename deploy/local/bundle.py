"""What a cluster needs of us: the package as a zip, the script that starts it, and what must be installed."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from .layout import REPO, say

_FIRST_ZIP_DAY = (1980, 1, 1, 0, 0, 0)
"""The same bytes for the same files: a zip would otherwise tell when it was made."""


def write(folder: Path = REPO / "dist") -> list[Path]:
    """The files for ``spark-submit --py-files`` and EMR Serverless: zip, script and pinned requirements."""
    folder.mkdir(parents=True, exist_ok=True)
    package, script, requirements = (
        folder / name for name in ("cilake.zip", "cilake_job.py", "requirements.txt")
    )
    sources = {path: path.relative_to(REPO / "jobs") for path in (REPO / "jobs/cilake").rglob("*.py")}
    # The suites lie beside the package in the repository and inside it in the zip.
    suites = (REPO / "expectations").rglob("*.json")
    sources |= {path: Path("cilake") / path.relative_to(REPO) for path in suites}
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, name in sorted(sources.items()):
            entry = zipfile.ZipInfo(name.as_posix(), _FIRST_ZIP_DAY)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    shutil.copyfile(REPO / "jobs/cilake_job.py", script)
    shutil.copyfile(REPO / "requirements/jobs.txt", requirements)
    for path in (package, script, requirements):
        say(f"wrote {path}")
    return [package, script, requirements]
