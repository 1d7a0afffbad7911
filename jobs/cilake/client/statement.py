"""One statement run in Trino, as rows or as CSV."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

import requests
import trino

from cilake.client.query import LakeError, UnansweredError
from cilake.settings import Settings

PAGE_ROWS = 1000
TIMEOUT_SECONDS = 30
_NO_ANSWER = (
    trino.exceptions.TrinoConnectionError,
    trino.exceptions.Http502Error,
    trino.exceptions.Http503Error,
    trino.exceptions.Http504Error,
)


@contextmanager
def ask(
    trino_url: str, statement: str, *, user: str = "analyst", password: str = "", ca: str = ""
) -> Iterator[tuple[list[tuple[str, str]], Iterator[list[list[Any]]]]]:
    """Yield the columns of the result, each with its name and type in Trino, and its rows, page by page.

    ``ca`` is the file with the certificate that the server's must be signed with; empty, the authorities
    that the machine knows. A server that is starting or has lost its catalog's connections is asked again
    for half a minute.

    Raises:
        LakeError: with Trino's message, when it refuses the statement; when the login cannot be sent.
        UnansweredError: when Trino does not respond, or cannot now.

    """
    if not statement.strip():
        raise LakeError("there is no statement to run")
    address = urlsplit(trino_url)
    if password and address.scheme != "https":
        raise LakeError(
            f"the login of {user} is sent over TLS only: CILAKE_TRINO_URL={trino_url} is no https://"
        )
    if ca and not Path(ca).is_file():
        raise LakeError(f"there is no certificate {ca}, which CILAKE_TRINO_CA names")
    try:
        with trino.dbapi.connect(  # type: ignore[no-untyped-call]
            host=address.hostname,
            port=address.port,
            user=user,
            auth=trino.auth.BasicAuthentication(user, password) if password else None,
            catalog="lake",
            http_scheme=address.scheme,
            verify=ca or True,
            max_attempts=2,
        ) as connection:
            cursor = _execute(connection, statement.strip().rstrip(";"))
            yield (
                [(column[0], column[1]) for column in cursor.description or []],
                iter(lambda: cursor.fetchmany(PAGE_ROWS), []),
            )
    except trino.exceptions.TrinoQueryError as error:
        kind = LakeError if error.error_type == "USER_ERROR" else UnansweredError
        raise kind(f"Trino: {' '.join(str(error.message).split())}") from None
    except requests.exceptions.SSLError as error:
        raise _untrusted(trino_url) from error
    except _NO_ANSWER as error:
        if isinstance(error.__cause__ or error.__context__, requests.exceptions.SSLError):
            raise _untrusted(trino_url) from error
        raise UnansweredError(f"Trino does not respond at {trino_url}: `make up` starts it") from error
    except trino.exceptions.HttpError as error:
        raise LakeError(f"Trino at {trino_url} refuses the user {user}: {str(error)[:200]}") from error


def write_csv(
    trino_url: str, statement: str, target: TextIO, *, user: str = "analyst", password: str = "", ca: str = ""
) -> None:
    """Write the rows into ``target`` as CSV with a header, and nothing else."""
    with ask(trino_url, statement, user=user, password=password, ca=ca) as (columns, pages):
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow([name for name, _ in columns])
        for page in pages:
            writer.writerows([_plain(value) for value in row] for row in page)
        target.flush()


def login(settings: Settings) -> dict[str, str]:
    """Return the user and how the server is known, as the arguments of ``ask``."""
    return {"user": settings.trino_user, "password": settings.trino_password, "ca": settings.trino_ca}


def _untrusted(trino_url: str) -> LakeError:
    return LakeError(
        f"the certificate of {trino_url} is signed by nobody known here: CILAKE_TRINO_CA names the file "
        "with the one to trust (trino.crt of the team's server)"
    )


def _execute(connection: Any, statement: str) -> Any:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        cursor = connection.cursor()
        try:
            cursor.execute(statement)
        except trino.exceptions.TrinoQueryError as error:
            if error.error_type == "USER_ERROR" or time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return cursor


def _plain(value: Any) -> Any:
    """Return a value for a CSV reader: structures as JSON, bytes as hex, the rest as Trino says it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, default=str)
    return value
