"""What a payload holds, in a few words: for people who have one in a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow.compute as pc

from cilake.sources.errors import UnreadableError
from cilake.sources.payload import content_digest, parse_object
from cilake.sources.testgrid.parse import VOLATILE, read_table, read_tabs


def describe(payload: bytes) -> Mapping[str, object]:
    """Return how a payload would be read: its endpoint, its ``status``, and counts or the ``reason``."""
    try:
        document = parse_object(payload)
        content_digest(document, volatile=VOLATILE)
    except UnreadableError as error:
        return {"status": "rejected", "reason": str(error)}
    is_table = isinstance(document.get("tests"), list) or isinstance(document.get("timestamps"), list)
    try:
        counts = _count_table(document) if is_table else {"tab_count": len(read_tabs(document))}
    except UnreadableError as error:
        return {"endpoint": "table" if is_table else "summary", "status": "rejected", "reason": str(error)}
    return {"endpoint": "table" if is_table else "summary", "status": "landed", **counts}


def _count_table(document: dict[str, object]) -> dict[str, object]:
    decoded = read_table(document, served_at=datetime.now(UTC))
    runs = decoded.runs
    counts = {
        name: pc.sum(runs[name]).as_py() or 0 for name in ("result_count", "passed_count", "failed_count")
    }
    started = pc.min_max(runs["started_at"]).as_py()
    return {
        "job_names": pc.unique(runs["job_name"]).to_pylist(),
        "run_count": runs.num_rows,
        **counts,
        "first_started_at": started["min"],
        "last_started_at": started["max"],
        "refused_count": len(decoded.rejects),
        "reason": decoded.rejects[0].reason if decoded.rejects else "",
    }
