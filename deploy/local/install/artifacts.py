"""The jars and the Trino server, fetched once, verified against the pinned SHA-256 and put in place."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError
from deploy.local.layout import Layout

from cilake.log import logger

_PINS = Path(__file__).with_name("artifacts.toml")


def ensure(layout: Layout) -> None:
    """Download every pinned artifact; nothing is downloaded or hashed when the pins did not change."""
    stamp = layout.lib / ".artifacts.sha256"
    wanted = hashlib.sha256(_PINS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    pins = tomllib.loads(_PINS.read_text())["artifact"]
    _refresh_jars(layout, [pin for pin in pins if "unpack" not in pin])
    _refresh_trino(layout, [pin for pin in pins if "unpack" in pin])
    stamp.write_text(wanted)


def ensure_jars(layout: Layout) -> None:
    """Download the jars that Spark needs, without Trino: for the images, which bring their own."""
    pins = tomllib.loads(_PINS.read_text())["artifact"]
    _refresh_jars(layout, [pin for pin in pins if "unpack" not in pin and "folder" not in pin])


def _refresh_jars(layout: Layout, pins: list[dict[str, Any]]) -> None:
    placed = set()
    for pin in pins:
        source = fetch(layout, pin)
        target = layout.lib / pin.get("folder", "") / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(source, target)
        placed.add(target)
    for path in layout.lib.rglob("*.jar"):
        if path not in placed:
            path.unlink()


def _refresh_trino(layout: Layout, pins: list[dict[str, Any]]) -> None:
    building = layout.shared / "trino.new"
    shutil.rmtree(building, ignore_errors=True)
    for pin in pins:
        source = fetch(layout, pin)
        logger.info(f"{source.name}: unpacking")
        _unpack(source, building / pin["unpack"])
        for surplus in pin.get("without", []):
            shutil.rmtree(building / surplus)
    shutil.rmtree(layout.trino, ignore_errors=True)
    building.rename(layout.trino)


def fetch(layout: Layout, pin: dict[str, Any]) -> Path:
    """Return the verified file of one pin; fetch a damaged copy in the local Maven repository again."""
    title = f"{pin['group']}:{pin['name']}:{pin['version']}"
    for attempt in (1, 2):
        logger.info(f"{title}: downloading")
        path = _resolve(layout, pin, title)
        found = _sha256(path)
        if found == pin["sha256"]:
            return path
        path.unlink()
        if attempt == 2:
            raise StackError(
                f"{title} has SHA-256 {found}, but deploy/local/install/artifacts.toml pins {pin['sha256']}: "
                "do not use this file; check where it comes from"
            )
        logger.info(f"{title}: SHA-256 differs, downloading again")
    raise AssertionError("unreachable")


def _resolve(layout: Layout, pin: dict[str, Any], title: str) -> Path:
    script = Path(__file__).with_name("resolve_artifact.py")
    args = [pin["group"], pin["name"], pin["version"], pin["packaging"]]
    done = subprocess.run(
        [layout.bin("jobs", "python"), script, *args], capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines or not Path(lines[-1]).is_file():
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise StackError(f"cannot fetch {title} from Maven Central ({reason}): check the network and repeat")
    return Path(lines[-1])


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or links are not allowed
        shutil.copyfile(source, target)


def _unpack(source: Path, target: Path) -> None:
    """Unpack an archive with one root folder so that the folder's contents are in `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        if source.suffix == ".zip":
            with zipfile.ZipFile(source) as archive:
                archive.extractall(scratch)  # noqa: S202 - its SHA-256 was just verified
        else:
            with tarfile.open(source) as tar:
                tar.extractall(scratch, filter="data")
        (root,) = Path(scratch).iterdir()
        if target.exists():
            raise StackError(f"{target} is in the way: run `make clean` and repeat")
        root.rename(target)
