"""TestGrid tables for tests, from rows written as one code per column, newest first."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import orjson

DAY_MS = 86_400_000
FIRST_MS = 1_624_276_800_000  # 2021-06-21T12:00Z


def make_table(
    rows: dict[str, list[int]], *, job: str = "e2e-aws-4.8", first_build: int = 1000, **overrides: Any
) -> dict[str, Any]:
    """A table with one test per row; column 0 is the newest, a day after column 1."""
    columns = len(next(iter(rows.values()), []))
    table = {
        "query": f"bucket/logs/{job}",
        "status": "Served from cache in 0.16 seconds",
        "phase-timer": {"total": 0.1},
        "cached": True,
        "changelists": [str(first_build + columns - i) for i in range(columns)],
        "timestamps": [FIRST_MS + (columns - i) * DAY_MS for i in range(columns)],
        "open-test-template": {"url": "https://ci.example/view/<gcs_prefix>/<changelist>"},
        "tests": [make_row(name, codes) for name, codes in rows.items()],
    }
    return table | overrides


def make_row(name: str, codes: list[int]) -> dict[str, Any]:
    """One run-length encoded row; failed cells carry a message."""
    return {
        "name": name,
        "statuses": [{"count": len(list(same)), "value": code} for code, same in groupby(codes)],
        "messages": ["boom" if code == 12 else "" for code in codes if code],
    }


def dump(table: dict[str, Any]) -> bytes:
    """The table as a payload."""
    return orjson.dumps(table)
