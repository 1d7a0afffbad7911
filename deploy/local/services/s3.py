"""SeaweedFS, the S3 of the embedded stack: its command, its keys and its ports."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.images import start_s3
from deploy.local.configuration import S3_BLOCK, Settings
from deploy.local.layout import Layout
from deploy.local.services.probe import answers


def command(layout: Layout, settings: Settings) -> list[str]:
    """Return the command line: every part in one process, on loopback only."""
    base = int(settings["CILAKE_PORT_S3"])
    args = [str(layout.bin("jobs", "weed")), "mini", f"-dir={layout.data / 's3'}", "-ip=127.0.0.1"]
    args += ["-ip.bind=127.0.0.1", "-master.telemetry=false", "-webdav=false", "-admin.ui=false"]
    args += ["-s3.port.lance=0", f"-s3.config={_identities(layout)}"]
    return args + [f"-{name}={base + offset}" for name, offset in S3_BLOCK.items()]


def _identities(layout: Layout) -> Path:
    return layout.run / "s3" / "identities.json"


def files(layout: Layout, settings: Settings) -> dict[Path, str]:
    """Return who may do what, as in the containers: one key writes, the other only reads."""
    return {_identities(layout): json.dumps(start_s3.identities(settings, _bucket(settings)))}


def environment(layout: Layout, settings: Settings) -> dict[str, str]:
    """Return the bucket and the keys of its parts; make the folder of its data."""
    (layout.data / "s3").mkdir(parents=True, exist_ok=True)
    return {"S3_BUCKET": _bucket(settings), **start_s3.internal_keys(settings)}


def _bucket(settings: Settings) -> str:
    return settings["CILAKE_WAREHOUSE"].split("/")[2]


def healthy(layout: Layout, settings: Settings) -> bool:
    """Return whether it responds."""
    return answers(f"{settings['CILAKE_S3_ENDPOINT']}/healthz") is not None


def ports(settings: Settings) -> dict[int, str]:
    """Return its ports, each with the setting that they follow from."""
    base = int(settings["CILAKE_PORT_S3"])
    return {base + offset: "CILAKE_PORT_S3" for offset in S3_BLOCK.values()}
