"""Queries to Trino by its own protocol: its client is not in the Python that starts the stack."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from deploy.local.errors import CONNECTION_ERRORS, StackError

TRINO_TIMEOUT_SECONDS = 60


def ask(url: str, query: str, *, user: str = "analyst") -> tuple[list[str], list[list[Any]]]:
    """Return the column names and rows of a query; repeat it when Trino has lost connections."""
    deadline = time.monotonic() + TRINO_TIMEOUT_SECONDS
    while True:
        try:
            return _ask(url, query, user)
        except TrinoError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


class TrinoError(StackError):
    """A query that failed because of the server or the network."""


def _ask(url: str, query: str, user: str) -> tuple[list[str], list[list[Any]]]:
    headers = {"X-Trino-User": user, "X-Trino-Catalog": "lake", "X-Trino-Source": "nights"}
    request = urllib.request.Request(f"{url}/v1/statement", query.encode(), headers)  # noqa: S310
    columns: list[str] = []
    rows: list[list[Any]] = []
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own loopback address
                page = json.load(answer)
        except CONNECTION_ERRORS as error:
            raise TrinoError(
                f"Trino does not respond: {str(error).strip()}; see `make logs S=trino`"
            ) from None
        if "error" in page:
            kind = StackError if page["error"].get("errorType") == "USER_ERROR" else TrinoError
            raise kind(f"Trino refuses a query: {page['error']['message']}")
        columns = columns or [column["name"] for column in page.get("columns", [])]
        rows += page.get("data", [])
        if "nextUri" not in page:
            return columns, rows
        request = urllib.request.Request(page["nextUri"], headers=headers)  # noqa: S310
