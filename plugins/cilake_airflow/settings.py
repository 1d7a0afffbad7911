"""Where jobs run and with what: the only module here that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cilake.contracts.registry import tables
from cilake.variables import VariablesError, read_variables

TABLE_PAGES = Path(__file__).resolve().parents[2] / "docs" / "tables"
BACKENDS = ("connect", "spark_submit", "emr_serverless")
_SECRET_ENDINGS = ("PASSWORD", "SECRET", "TOKEN", "_KEY")
_OURS = ("CILAKE_", "SPARK_")

LAKE_SECRETS = ("CILAKE_CATALOG_PASSWORD", "CILAKE_S3_ACCESS_KEY", "CILAKE_S3_SECRET_KEY")
"""The secrets that every kind of job is given."""

OTHER_SECRETS = {
    "land": (),
    "build": ("SPARK_CONNECT_AUTHENTICATE_TOKEN",),
    "train": ("SPARK_CONNECT_AUTHENTICATE_TOKEN",),
    "score": ("SPARK_CONNECT_AUTHENTICATE_TOKEN",),
    "measure": ("SPARK_CONNECT_AUTHENTICATE_TOKEN",),
    "maintain": ("SPARK_CONNECT_AUTHENTICATE_TOKEN",),
}
"""The further secrets of a kind of job, by its verb; a verb that is not here is given those of the lake."""


def is_secret(name: str) -> bool:
    """Return whether the setting of that name is for those only who need it."""
    return name.startswith(_OURS) and name.endswith(_SECRET_ENDINGS)


def is_needed(name: str, verb: str, of: str) -> bool:
    """Return whether the step ``<verb>_<of>`` is given the secret of that name.

    A landing has those of its source, ``CILAKE_<SOURCE>_…``.
    """
    is_of_source = verb == "land" and name.startswith(f"CILAKE_{of.upper()}_")
    return is_of_source or name in LAKE_SECRETS + OTHER_SECRETS.get(verb, ())


class SettingsError(ValueError):
    """A setting that is missing or cannot be used; the message names it and the way out."""


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """The back end of this deployment, the executable of the jobs and their settings."""

    backend: str
    jobs_bin: str
    job_settings: Mapping[str, str] = field(repr=False)
    data_docs: str = ""
    table_pages: str = ""
    superset_url: str = ""

    @property
    def data_docs_elsewhere(self) -> bool:
        """Whether another site shows the data docs, and not a folder that Airflow can read."""
        return self.data_docs.startswith(("http://", "https://"))

    @property
    def secrets(self) -> list[str]:
        """The values that must never reach a log."""
        return [value for name, value in self.job_settings.items() if is_secret(name) and value]

    def settings_of(self, verb: str, of: str = "") -> dict[str, str]:
        """Return the settings for the step ``<verb>_<of>``: of the secrets only its own."""
        return {
            name: value
            for name, value in self.job_settings.items()
            if not is_secret(name) or is_needed(name, verb, of)
        }


def read_settings(environment: Mapping[str, str] | None = None) -> PluginSettings:
    """Return the settings of this Airflow, from ``CILAKE_*`` and the settings file of the stack.

    Raises:
        SettingsError: when the back end is unknown.

    """
    given = os.environ if environment is None else environment
    # The file wins: it is read for every task, while the variables are as old as the scheduler.
    inherited = {
        name: value for name, value in given.items() if name.startswith(("CILAKE_", "SPARK_CONNECT_"))
    }
    steps = {("land", table.made_by.removeprefix("land_")) for table in tables().values()}
    steps |= {(verb, "") for verb in OTHER_SECRETS}
    job_settings = {
        name: value
        for name, value in (inherited | _settings_file(given)).items()
        if not is_secret(name) or any(is_needed(name, *step) for step in steps)
    }
    backend = given.get("CILAKE_BACKEND") or "connect"
    if backend not in BACKENDS:
        raise SettingsError(f"CILAKE_BACKEND={backend!r} is unknown; use one of {', '.join(BACKENDS)}")
    return PluginSettings(
        backend=backend,
        jobs_bin=_jobs_bin(job_settings),
        job_settings=job_settings,
        data_docs=job_settings.get("CILAKE_DATA_DOCS", ""),
        table_pages=job_settings.get("CILAKE_TABLE_PAGES") or _own_table_pages(),
        superset_url=job_settings.get("CILAKE_SUPERSET_URL", ""),
    )


def _jobs_bin(settings: Mapping[str, str]) -> str:
    """Return the executable of the jobs: named, next to its interpreter, or on the path."""
    if named := settings.get("CILAKE_JOBS_BIN"):
        return named
    interpreter = settings.get("CILAKE_JOBS_PYTHON")
    return str(Path(interpreter).with_name("cilake")) if interpreter else "cilake"


def _own_table_pages() -> str:
    """Return the data dictionary of the working tree that this file is part of; empty where there is none."""
    return str(TABLE_PAGES) if TABLE_PAGES.is_dir() else ""


def _settings_file(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the ``KEY=VALUE`` lines of the stack's settings file; empty where there is no embedded stack."""
    home = environment.get("CILAKE_HOME")
    path = Path(home) / "settings.env" if home else None
    if path is None or not path.is_file():
        return {}
    try:
        return read_variables(path.read_text(encoding="utf-8"))
    except VariablesError as error:
        raise SettingsError(f"{path}, {error}") from None
