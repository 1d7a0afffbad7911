"""A request to a service that shows whether it is there."""

from __future__ import annotations

import urllib.error
import urllib.request

from deploy.local.errors import CONNECTION_ERRORS


def answers(url: str, *, timeout: float = 3) -> bytes | None:
    """Return the body of a GET, empty for an error status, nothing when there is no HTTP response."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - our own loopback address
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError:
        return b""
    except CONNECTION_ERRORS:
        return None
