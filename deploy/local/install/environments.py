"""The virtual environments: made from the hashed requirements, left alone while those do not change."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.install import artifacts, java
from deploy.local.layout import REPO, Layout

from cilake.log import logger

ENVIRONMENTS = ("jobs", "airflow", "trino", "superset")
ONLY_TESTED = ("mwaa",)
"""What tests look at and nothing here runs."""
_WITH_PROJECT = ("jobs", "airflow")


def setup(layout: Layout, *more: str) -> None:
    """Prepare environments, jars, Trino and the choice of Java; quick when they are already there."""
    uv = _uv(layout)
    first, *others = (*ENVIRONMENTS, *more)
    # The first environment takes longest, and one of its programs fetches the artifacts.
    with ThreadPoolExecutor(1) as parallel:
        installed = parallel.map(partial(_environment, layout, uv), others)
        _environment(layout, uv, first)
        artifacts.ensure(layout)
        list(installed)  # raises what went wrong there
    logger.info(
        f"Java: {java.for_spark(layout).version} for Spark, {java.for_trino(layout).version} for Trino"
    )


def _stamp(*paths: Path) -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]} {REPO}".encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _holds(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


def _requirements(name: str) -> Path:
    return REPO / "requirements" / f"{name}.txt"


def _uv(layout: Layout) -> Path:
    folder = layout.envs / "uv"
    wanted = _stamp(_requirements("uv"))
    stamp = folder / ".cilake-stamp"
    if not _holds(stamp, wanted):
        logger.info("uv: installing")
        try:
            venv.create(folder, with_pip=True, clear=True)
        except subprocess.CalledProcessError as error:
            raise StackError(
                "this Python cannot make virtual environments with pip: install its venv package "
                "(python3-venv on Debian) and repeat"
            ) from error
        pip: list[str | Path] = [
            folder / "bin" / "python",
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "install",
        ]
        _run([*pip, "--require-hashes", "-r", _requirements("uv")], "uv cannot be installed from PyPI")
        stamp.write_text(wanted)
    return folder / "bin" / "uv"


def _environment(layout: Layout, uv: Path, name: str) -> None:
    folder = layout.envs / name
    stamp, project_stamp = folder / ".cilake-stamp", folder / ".cilake-project-stamp"
    wanted, project_wanted = _stamp(_requirements(name)), _stamp(REPO / "pyproject.toml")
    current = _holds(stamp, wanted)
    if current and (name not in _WITH_PROJECT or _holds(project_stamp, project_wanted)):
        return
    started = time.monotonic()
    logger.info(f"environment {name}: installing")
    python = folder / "bin" / "python"
    if not python.exists():
        _run([uv, "venv", "--quiet", "--python", sys.executable, folder], f"cannot make {folder}")
    install: list[str | Path] = [uv, "pip", "--quiet"]
    if not current:
        _run(
            [*install, "sync", "--python", python, "--require-hashes", _requirements(name)],
            f"the {name} environment cannot be installed from requirements/{name}.txt",
        )
    if name in _WITH_PROJECT:
        _run(
            [*install, "install", "--python", python, "--no-deps", "--editable", REPO],
            f"cilake cannot be installed into the {name} environment",
        )
        _add_sources(python)
        project_stamp.write_text(project_wanted)
    stamp.write_text(wanted)
    logger.info(f"environment {name}: ready after {time.monotonic() - started:.0f} s")


def _add_sources(python: Path) -> None:
    """Put the packages' folders on the path, where they precede a folder that only has their name.

    That is the clone, seen from the folder it is in: it would hide the package, which an editable
    installation lets Python find last.
    """
    (packages,) = (python.parents[1] / "lib").glob("python*/site-packages")
    folders = "".join(f"{REPO / folder}\n" for folder in ("jobs", "simulator"))
    link = packages / "cilake_sources.pth"
    if link.exists() and link.read_text() != folders:
        logger.info(f"{python.parents[1]}: now runs the code of {REPO}, before that of another clone")
    link.write_text(folders)


def compile_requirements(layout: Layout) -> None:
    """Rewrite requirements/*.txt, hashed and for every platform, from requirements/*.in."""
    uv = _uv(layout)
    for source in sorted((REPO / "requirements").glob("*.in")):
        command: list[str | Path] = [uv, "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
        command += ["--no-emit-index-url", "--no-emit-find-links", "--python-version", "3.11"]
        command += ["--custom-compile-command", "make requirements", "-o", source.with_suffix(".txt"), source]
        _run(command, f"{source.name} cannot be resolved")
        logger.info(f"requirements/{source.stem}.txt: compiled")


def _run(command: Sequence[str | Path], failure: str) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    # A copy works where the cache is on another file system; the warning about it helps nobody.
    environment.setdefault("UV_LINK_MODE", "hardlink")
    done = subprocess.run(command, env=environment, check=False, stdout=sys.stderr, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise StackError(f"{failure}: its message is above; check the network and repeat")
