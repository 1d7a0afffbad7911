"""Which service of the lake does not respond: its outage is one line, not the traceback of a library."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from pyiceberg.exceptions import CommitFailedException

from cilake.errors import CilakeError, PermanentError
from cilake.settings import Settings

SERVICES = {
    "catalog_uri": "the catalog's database",
    "s3_endpoint": "the object store",
    "spark_remote": "the Spark Connect server",
}
"""What is at the address that a setting holds, in the order in which jobs need them."""
WAIT_SECONDS = 3.0
_SESSION_LOST = ("NO_ACTIVE_SESSION", "INVALID_HANDLE", "StatusCode.UNAVAILABLE", "Socket closed")
_DISCONNECTED = ("OperationalError", "InterfaceError")
_REFUSED = {
    "catalog_uri": ("password authentication failed", "no password supplied", "does not exist"),
    "s3_endpoint": ("AWS Error ACCESS_DENIED", "AWS Error INVALID_ACCESS_KEY_ID", "AWS Error SIGNATURE"),
}
"""What services say to a login that they do not know."""
_LOGINS = {
    "catalog_uri": "CILAKE_CATALOG_USER and CILAKE_CATALOG_PASSWORD",
    "s3_endpoint": "CILAKE_S3_ACCESS_KEY and CILAKE_S3_SECRET_KEY",
}
_CONFLICTS = ("CommitFailedException", "Cannot use branch (does not exist)")


class OutageError(CilakeError):
    """A service of the lake, or another run, that was in the way; another try may succeed."""


class LoginError(PermanentError):
    """A login that a service of the lake does not know."""


def require_answer(settings: Settings, name: str) -> None:
    """Check that the service at the address in the named setting accepts connections.

    Raises:
        OutageError: when it does not; the client of a library would try for minutes first.

    """
    if problem := _problem(getattr(settings, name)):
        raise _outage(settings, name, problem)


def find_outage(settings: Settings, error: Exception) -> OutageError | LoginError | None:
    """Return the outage, or the refused login, that explains an error, if one does.

    The libraries in between have dozens of errors for it, so the services are tried first. One that responds
    may have been restarted meanwhile; then the error has to say so.
    """
    for name in SERVICES:
        if problem := _problem(getattr(settings, name)):
            first = (str(error).splitlines() or [""])[0][:300]
            return _outage(settings, name, problem, f" ({type(error).__name__}: {first})")
    chain: list[BaseException] = [error]
    while following := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(following)
    for one in chain:
        first = (str(one).splitlines() or [""])[0][:300]
        if name := _refused_by(one):
            return LoginError(
                f"{SERVICES[name]} at {_without_login(getattr(settings, name))} refuses the login: "
                f"{_LOGINS[name]} are of another stack, older than it, or may not do this "
                f"({type(one).__name__}: {first})"
            )
        if name := _broken_off(one):
            return OutageError(
                f"{SERVICES[name]} (CILAKE_{name.upper()}) broke off the connection and may have been "
                f"restarted: run again ({type(one).__name__}: {first})"
            )
        if isinstance(one, CommitFailedException) or any(mark in str(one) for mark in _CONFLICTS):
            return OutageError(
                f"another run changed the same table meanwhile: run again ({type(one).__name__}: {first})"
            )
    return None


def _refused_by(error: BaseException) -> str:
    """Return the setting of the service that refused a login; empty for other errors."""
    if type(error).__name__ == "OperationalError":
        name = "catalog_uri"
    elif isinstance(error, OSError):
        name = "s3_endpoint"
    else:
        return ""
    return name if any(words in str(error) for words in _REFUSED[name]) else ""


def _broken_off(error: BaseException) -> str:
    """Return the setting of the service that broke off a connection; empty for other errors."""
    library = type(error).__module__.partition(".")[0]
    if library in ("sqlalchemy", "psycopg2") and type(error).__name__ in (
        "OperationalError",
        "InterfaceError",
    ):
        return "catalog_uri"
    if library in ("pyspark", "grpc") and any(mark in str(error) for mark in _SESSION_LOST):
        return "spark_remote"
    if isinstance(error, OSError) and "AWS Error NETWORK_CONNECTION" in str(error):
        return "s3_endpoint"
    return ""


def _outage(settings: Settings, name: str, problem: str, cause: str = "") -> OutageError:
    return OutageError(
        f"{SERVICES[name]} at {_without_login(getattr(settings, name))} (CILAKE_{name.upper()}) does not "
        f"respond: {problem}; start it (`make up` on the embedded stack) and run again{cause}"
    )


def _problem(address: str) -> str:
    """Return why nothing accepts a connection at the address; empty when something does, or none is given."""
    try:
        parts = urlsplit(address)
        if not (parts.hostname and parts.port):
            return ""
        with socket.create_connection((parts.hostname, parts.port), timeout=WAIT_SECONDS):
            return ""
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ValueError:  # a port that is none: a matter of the settings
        return ""


def _without_login(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}"
