"""Which service of the lake does not answer: its outage is one line, not the traceback of a library."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from cilake.errors import CilakeError
from cilake.settings import Settings

SERVICES = {
    "catalog_uri": "the catalog's database",
    "s3_endpoint": "the object store",
    "spark_remote": "the Spark Connect server",
}
"""What answers at the address that a setting holds, in the order in which work needs them."""
WAIT_SECONDS = 3.0


class OutageError(CilakeError):
    """A service of the lake that accepts no connection."""


def require_answer(settings: Settings, name: str) -> None:
    """Check that the service at the address in the named setting accepts connections.

    Raises:
        OutageError: when it does not; the client of a library would try for minutes first.

    """
    if problem := _problem(getattr(settings, name)):
        raise _outage(settings, name, problem)


def find_outage(settings: Settings, error: Exception) -> OutageError | None:
    """Return the outage that explains an error, or nothing when every service accepts connections.

    The libraries in between have dozens of errors for it, so the services are asked instead.
    """
    for name in SERVICES:
        if problem := _problem(getattr(settings, name)):
            first = (str(error).splitlines() or [""])[0][:300]
            return _outage(settings, name, problem, f" ({type(error).__name__}: {first})")
    return None


def _outage(settings: Settings, name: str, problem: str, cause: str = "") -> OutageError:
    return OutageError(
        f"{SERVICES[name]} at {_without_login(getattr(settings, name))} (CILAKE_{name.upper()}) does not "
        f"answer: {problem}; start it (`make up` on the embedded stack) and run again{cause}"
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
