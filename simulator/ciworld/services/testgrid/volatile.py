"""The keys of a table that TestGrid fills differently in every response."""

from typing import Any

import orjson

from ciworld.payload import Json, Payload, content_etag

VOLATILE_KEYS = ("status", "phase-timer", "cached")


def table_payload(table: Json) -> Payload:
    """Return the payload of a table whose volatile keys are written for every response."""
    return Payload.varying(_stable(table), volatile_part)


def table_etag(table: Json) -> str:
    """Return the ETag of a table, whatever its volatile keys are."""
    return content_etag(orjson.dumps(_stable(table)))


def volatile_part(count: int) -> dict[str, Any]:
    """Return the volatile keys of the count-th response."""
    delta = [0.00001 + (count * 37 % 991) / 1e7, 0.01 + (count * 53 % 997) / 1e5, 0.002, 0.004]
    total = sum(delta)
    return {
        "status": f"Served {'from cache' if count % 2 else f'{count % 500} results'} in {total:.2f} seconds",
        "phase-timer": {
            "phases": ["config load", "cache read + validate", "table deserialize", "table querying"],
            "delta": delta,
            "total": total,
        },
        "cached": bool(count % 2),
    }


def _stable(table: Json) -> Json:
    return {key: value for key, value in table.items() if key not in VOLATILE_KEYS}
