"""The settings of docker-compose.yaml: `.env` with generated secrets, and the files that Trino reads."""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.commands.command import Command
from deploy.local.configuration import CATALOG_READER, of_sources, write_private
from deploy.local.errors import StackError
from deploy.local.layout import REPO, Layout
from deploy.local.services.trino import LOGINS

from cilake.log import logger
from cilake.variables import read_variables

_CONTAINER_USER = 1000
_ITERATIONS = 200_000
_CERTIFICATE_DAYS = "825"


def write(folder: Path = REPO, environment: Mapping[str, str] | None = None) -> list[Path]:
    """Write `.env`, and in `deploy/private` what Trino reads and `reader.env`; return the files written.

    Nothing that exists is replaced; an `.env` gets the variables that it lacks, and the private files that
    are missing are made from it.
    """
    given = dict(os.environ) if environment is None else dict(environment)
    path, private = folder / ".env", folder / "deploy" / "private"
    written = []
    if not path.exists():
        write_private(path, fill(example(), given, identity()))
        written.append(path)
    elif added := missing(path.read_text(encoding="utf-8"), given):
        write_private(path, path.read_text(encoding="utf-8").rstrip("\n") + f"\n{added}")
        written.append(path)
    settings = read_variables(path.read_text(encoding="utf-8"))
    private.mkdir(parents=True, exist_ok=True)
    private.chmod(0o700)
    if not (private / "trino" / "passwords").exists():
        write_private(private / "trino" / "passwords", password_file(settings))
        written.append(private / "trino" / "passwords")
    if not (private / "trino" / "groups").exists():
        write_private(private / "trino" / "groups", group_file())
        written.append(private / "trino" / "groups")
    if not (private / "sources.env").exists():
        write_private(private / "sources.env", sources_text(given))
        written.append(private / "sources.env")
    if not (private / "reader.env").exists():
        write_private(private / "reader.env", reader_text(settings))
        written.append(private / "reader.env")
    if not (private / "trino" / "server.pem").exists():
        _make_certificate(private, settings["CILAKE_HOST"])
        written += [private / "trino" / "server.pem", private / "trino.crt"]
    if not written:
        raise StackError(
            f"{path} and {private} exist and are kept: edit them, or remove what is to be made again (new "
            "database passwords need empty volumes)"
        )
    if os.getuid() == 0:
        for kept in (private, *private.iterdir()):
            os.chown(kept, int(settings["CILAKE_UID"]), int(settings["CILAKE_GID"]))
    for done in written:
        logger.info(f"{done.relative_to(folder)}: written")
    return written


def example() -> str:
    """Return the text of `.env.example`: every variable of docker-compose.yaml, explained."""
    return (REPO / ".env.example").read_text(encoding="utf-8")


def identity() -> dict[str, str]:
    """Return the user and group that the containers run as: ours, or for root the first ordinary one's."""
    user, group = os.getuid(), os.getgid()
    if user == 0:
        user = group = _CONTAINER_USER
    return {"CILAKE_UID": str(user), "CILAKE_GID": str(group)}


def fill(text: str, given: Mapping[str, str], fixed: Mapping[str, str]) -> str:
    """Return the text of `.env`: a variable without a value gets what was given for it, or a new secret.

    Raises:
        StackError: when a given value cannot be written to the file.

    """
    lines = ["# Written by `make env`; holds secrets. Explained in .env.example."]
    for name, default in read_variables(text).items():
        value = fixed.get(name) or given.get(name) or default or _secret(name)
        if any(sign in value for sign in "\n\r$'\"#") or value != value.strip():
            raise StackError(f"{name} must be one line without quotes, dollar and number signs")
        lines.append(f"{name}={value}")
    return "\n".join(lines) + "\n"


def missing(text: str, given: Mapping[str, str]) -> str:
    """Return the lines for the variables of `.env.example` that this text of an `.env` lacks."""
    known = read_variables(text)
    lines = fill(example(), given, identity()).splitlines(keepends=True)
    return "".join(line for line in lines if "=" in line and line.split("=", 1)[0] not in known)


def password_file(settings: Mapping[str, str]) -> str:
    """Return Trino's password file: each user with the salted PBKDF2 hash of its password."""
    return "".join(f"{user}:{hashed(settings[name])}\n" for user, (_, name) in LOGINS.items())


def hashed(password: str, salt: bytes | None = None) -> str:
    """Return iterations, salt and hash of a password as Trino compares them."""
    salt = salt or secrets.token_bytes(16)
    # SHA-1 is what Trino needs; in HMAC, with so many rounds, its collisions do not matter.
    digest = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, _ITERATIONS, 32)
    return f"{_ITERATIONS}:{salt.hex()}:{digest.hex()}"


def group_file() -> str:
    """Return Trino's group file: `analysts` read what is public, `operators` everything."""
    groups: dict[str, list[str]] = {}
    for user, (group, _) in LOGINS.items():
        groups.setdefault(group, []).append(user)
    return "".join(f"{group}:{','.join(users)}\n" for group, users in groups.items())


def reader_text(settings: Mapping[str, str]) -> str:
    """Return the text of `reader.env`: where people find the lake, and logins that only read."""
    host = settings["CILAKE_HOST"]
    storage = settings["CILAKE_S3_ENDPOINT"]
    if urlsplit(storage).hostname == "s3":  # the service of docker-compose.yaml, a name for containers only
        storage = storage.replace("//s3", f"//{host}", 1)
    values = {
        "CILAKE_CATALOG_URI": f"postgresql://{host}:5432/iceberg",
        "CILAKE_CATALOG_USER": CATALOG_READER,
        "CILAKE_CATALOG_PASSWORD": settings["CILAKE_CATALOG_READER_PASSWORD"],
        "CILAKE_WAREHOUSE": settings["CILAKE_WAREHOUSE"],
        "CILAKE_S3_ENDPOINT": storage,
        "CILAKE_S3_REGION": settings["CILAKE_S3_REGION"],
        "CILAKE_S3_ACCESS_KEY": settings["CILAKE_S3_READER_ACCESS_KEY"],
        "CILAKE_S3_SECRET_KEY": settings["CILAKE_S3_READER_SECRET_KEY"],
        "CILAKE_TRINO_URL": f"https://{host}:{settings['CILAKE_PORT_TRINO']}",
        "CILAKE_TRINO_USER": "analyst",
        "CILAKE_TRINO_PASSWORD": settings["CILAKE_TRINO_ANALYST_PASSWORD"],
        "CILAKE_TRINO_CA": "trino.crt",
        "CILAKE_SUPERSET_URL": settings["CILAKE_SUPERSET_URL"],
        "CILAKE_AIRFLOW_URL": settings["CILAKE_AIRFLOW_URL"],
    }
    text = "# Written by `make env` to be handed out with trino.crt: these logins read and write nothing.\n"
    return text + "".join(f"{name}={value}\n" for name, value in values.items())


def sources_text(given: Mapping[str, str]) -> str:
    """Return the text of `sources.env`: that of the example, and what was given for sources in its place."""
    example_text = (REPO / "deploy" / "sources.env.example").read_text(encoding="utf-8")
    settings = read_variables(example_text) | of_sources(given)
    text = "# Written by `make env`: the settings of sources, explained in deploy/sources.env.example.\n"
    return text + "".join(f"{name}={value}\n" for name, value in settings.items())


def _secret(name: str) -> str:
    if name.endswith("FERNET_KEY"):
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(20)


def _make_certificate(private: Path, host: str) -> None:
    """Write `trino/server.pem`, key and certificate, and `trino.crt`, which every client must be given."""
    if shutil.which("openssl") is None:
        raise StackError(
            f"there is no openssl to make Trino's certificate: install it, or put your own into {private} as "
            "trino/server.pem (key and certificate) and trino.crt, and repeat"
        )
    key, certificate = private / "trino.key", private / "trino.crt"
    # The key is made inside a folder of mode 700 and stays there.
    args = ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-sha256", "-nodes"]
    args += ["-days", _CERTIFICATE_DAYS, "-subj", f"/CN={host}"]
    args += ["-keyout", str(key), "-out", str(certificate)]
    names = ",".join(f"DNS:{name}" for name in dict.fromkeys([host, "trino", "localhost"]))
    args += ["-addext", f"subjectAltName={names},IP:127.0.0.1"]
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StackError(f"openssl could not make a certificate for CILAKE_HOST={host}: {reason}")
    write_private(private / "trino" / "server.pem", key.read_text() + certificate.read_text())
    key.unlink()
    certificate.chmod(0o644)


def _env(arguments: argparse.Namespace, here: Layout) -> int:
    write()
    return 0


COMMANDS = (Command("env", _env),)
