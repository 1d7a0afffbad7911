"""Where the lake is: from the environment, or from the settings that ``make up`` wrote."""

from __future__ import annotations

import os
from pathlib import Path

from cilake.settings import Settings, SettingsError, read_settings


def find_settings(path: str | Path | None = None) -> Settings:
    """The settings of the lake to connect to.

    In this order: the file ``path``; ``CILAKE_CATALOG_URI`` and its companions in the environment; the file
    ``settings.env`` in ``CILAKE_HOME`` or in ``.local`` of this folder or one above it.

    Raises:
        SettingsError: when there is none of these; the message says what to do.

    """
    if path is not None:
        return _read(Path(path))
    if os.environ.get("CILAKE_CATALOG_URI") or os.environ.get("CILAKE_CATALOG"):
        return read_settings()
    here = Path.cwd()
    homes = [Path(os.environ["CILAKE_HOME"])] if os.environ.get("CILAKE_HOME") else []
    homes += [folder / ".local" for folder in (here, *here.parents)]
    for home in homes:
        if (home / "settings.env").exists():
            return _read(home / "settings.env")
    raise SettingsError(
        "no lake to connect to: run in the checkout after `make up`, name its settings file with "
        "connect('…/settings.env'), or set CILAKE_CATALOG_URI, CILAKE_CATALOG_USER, CILAKE_CATALOG_PASSWORD, "
        "CILAKE_S3_ENDPOINT, CILAKE_S3_ACCESS_KEY, CILAKE_S3_SECRET_KEY and CILAKE_TRINO_URL"
    )


def _read(path: Path) -> Settings:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"cannot read the settings in {path}: {error.strerror}") from None
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return read_settings({name: value for name, value in pairs})
