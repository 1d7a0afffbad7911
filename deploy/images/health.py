"""Whether a service works: ``health url URL``, ``health port HOST PORT`` or ``health airflow PART``."""

from __future__ import annotations

import json
import os
import socket
import sys
from urllib.error import URLError
from urllib.request import urlopen

TIMEOUT_SECONDS = 5


def main() -> int:
    """Return the exit code: 0 when it works."""
    kind, *args = sys.argv[1:]
    try:
        if kind == "port":
            with socket.create_connection((args[0], int(args[1])), timeout=TIMEOUT_SECONDS):
                return 0
        if kind == "url":
            body(args[0])
            return 0
        address = os.environ["CILAKE_AIRFLOW_HEALTH_URL"]
        return 0 if works(body(address), args[0]) else 1
    except (OSError, URLError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def body(address: str) -> bytes:
    """Return the body at one of our addresses; raises when there is no response or an error."""
    with urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the address is in the compose file
        return bytes(answer.read())


def works(answer: bytes, component: str) -> bool:
    """Return whether Airflow's API says that a component of it is healthy."""
    return bool(json.loads(answer).get(component, {}).get("status") == "healthy")


if __name__ == "__main__":
    sys.exit(main())
