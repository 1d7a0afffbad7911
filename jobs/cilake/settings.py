"""Where things are: the only place that reads ``CILAKE_*`` from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cilake.errors import PermanentError
from cilake.variables import VariablesError, read_variables

CATALOG_READER = "iceberg_reader"
"""The user of the catalog's database that can only read; ``deploy/postgres/reader.sql`` makes it."""


LOG_LEVELS = ("debug", "info", "warning", "error")
"""What is logged: that level and those after it."""

T = TypeVar("T")
_Number = TypeVar("_Number", int, float)


class SettingsError(PermanentError, ValueError):
    """A setting that is missing or cannot be used; the message names it and the way out."""


def bounded(default: _Number, at_least: int, at_most: int) -> _Number:
    """Return a field of settings for a number that is refused outside of its bounds."""
    return field(default=default, metadata={"bounds": (at_least, at_most)})


def _secret() -> str:
    return field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Endpoints, places and limits of one deployment. Secrets stay out of its ``repr``."""

    catalog: str = "jdbc"
    catalog_uri: str = ""
    catalog_user: str = ""
    catalog_password: str = _secret()
    warehouse: str = "s3://lake/warehouse"
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_access_key: str = _secret()
    s3_secret_key: str = _secret()
    spark_remote: str = ""
    spark_jars: str = ""
    trino_url: str = ""
    trino_user: str = "analyst"
    trino_password: str = _secret()
    trino_ca: str = ""
    data_docs: str = ""
    artifacts: str = "s3://lake/models"
    landing_seconds: int = bounded(1800, 1, 604_800)
    landing_concurrency: int = bounded(8, 1, 256)
    max_lost_ratio: float = bounded(0.1, 0, 1)
    snapshot_days: int = bounded(30, 1, 10_000)
    run_url: str = ""
    log_level: str = "info"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this process, from ``CILAKE_*``.

    Raises:
        SettingsError: when a number or a level is not one that can be.

    """
    found = read_into(Settings, "CILAKE_", environment)
    if found.log_level.lower() not in LOG_LEVELS:
        raise SettingsError(f"CILAKE_LOG_LEVEL={found.log_level!r} is none of {', '.join(LOG_LEVELS)}")
    return found


def read_into(kind: type[T], prefix: str, environment: Mapping[str, str] | None = None) -> T:
    """Return the fields of a dataclass from the variables that begin with the prefix; else their defaults.

    Raises:
        SettingsError: when a number, or ``true`` or ``false``, is not one, or out of its bounds.

    """
    given = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for one in fields(kind):  # type: ignore[arg-type]  # a dataclass
        name = f"{prefix}{one.name.upper()}"
        text = given.get(name)
        if text is None or (text == "" and one.name not in _MAY_BE_EMPTY):
            continue
        if not text.isprintable():
            raise SettingsError(f"{name}={text!r} is no printable text")
        try:
            values[one.name] = _read_value(one, text)
        except ValueError as error:
            raise SettingsError(f"{name}={text!r} is not {error}") from None
    return kind(**values)


def _read_value(one: Field[Any], text: str) -> object:
    """Return what a text says where the default of a field is of a type.

    Raises:
        ValueError: saying what it should be.

    """
    default = one.default
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError("true or false")
        return text.lower() == "true"
    if not isinstance(default, int | float):
        return text
    bounds = one.metadata.get("bounds")
    try:
        found = type(default)(text)
    except ValueError:
        found = None
    if found is None or (bounds and not bounds[0] <= found <= bounds[1]):  # which no NaN is
        raise ValueError(f"a number from {bounds[0]} to {bounds[1]}" if bounds else "a number")
    return found


_MAY_BE_EMPTY = ("spark_remote",)
"""What an empty variable switches off, where for others it means that they are not set."""


def require(settings: Settings, *names: str) -> None:
    """Check that all the named settings are given.

    Raises:
        SettingsError: naming the missing ones and the way out.

    """
    if missing := [f"CILAKE_{name.upper()}" for name in names if not getattr(settings, name)]:
        raise SettingsError(
            f"missing settings: {', '.join(missing)}. The embedded stack writes them on `make up`: load them "
            "with `set -a; . .local/settings.env; set +a`"
        )


def require_address(name: str, text: str) -> None:
    """Check that the value of the named setting is the address of a web service.

    Raises:
        SettingsError: naming the setting and the form that is expected.

    """
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_address &= text.isprintable() and " " not in text
    except ValueError:  # brackets without an address in them, a port that is none
        is_address = False
    if not is_address:
        raise SettingsError(
            f"{name}={text!r} is no address of a service: expected http://HOST:PORT or https://HOST"
        )


def find_settings(path: str | Path | None = None, *, named_by: str = "connect('…/reader.env')") -> Settings:
    """Return the settings with which to read a lake.

    In this order: those in the file ``path``; ``CILAKE_CATALOG_URI`` or ``CILAKE_CATALOG`` and its companions
    in the environment; the first of the files ``reader.env`` and ``settings.env`` in ``CILAKE_HOME`` or in
    ``.local`` of this folder or one above it. ``named_by`` is how the caller's users name a file.

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
        for name in ("reader.env", "settings.env"):
            if (home / name).exists():
                return _read(home / name)
    raise SettingsError(
        f"no lake to connect to: run in the checkout after `make up`, name a settings file with {named_by}, "
        "or set CILAKE_CATALOG_URI, CILAKE_CATALOG_USER, CILAKE_CATALOG_PASSWORD, CILAKE_S3_ENDPOINT, "
        "CILAKE_S3_ACCESS_KEY, CILAKE_S3_SECRET_KEY and CILAKE_TRINO_URL"
    )


def _read(path: Path) -> Settings:
    try:
        given = read_variables(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings in {path}: {error.strerror}") from None
    except VariablesError as error:
        raise SettingsError(f"cannot read the settings in {path}, {error}") from None
    found = read_settings(given | _read_only(given))
    if not found.trino_ca:
        return found
    # The certificate is handed out with the file and is next to it, wherever that is.
    return replace(found, trino_ca=str(path.absolute().parent / found.trino_ca))


def _read_only(given: Mapping[str, str]) -> dict[str, str]:
    """Return the logins that only read, in place of those that write: enough to read a lake."""
    replaced = {}
    if given.get("CILAKE_CATALOG_READER_PASSWORD"):
        replaced["CILAKE_CATALOG_USER"] = CATALOG_READER
        replaced["CILAKE_CATALOG_PASSWORD"] = given["CILAKE_CATALOG_READER_PASSWORD"]
    for name in ("ACCESS_KEY", "SECRET_KEY"):
        if reader := given.get(f"CILAKE_S3_READER_{name}"):
            replaced[f"CILAKE_S3_{name}"] = reader
    return replaced
