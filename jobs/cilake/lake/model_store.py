"""The model registry: verdicts on versions in ``ops.model_versions``, artifacts next to the lake."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from pyiceberg.catalog import Catalog

from cilake.lake.artifacts import read_artifact, write_artifact
from cilake.lake.records import append_rows
from cilake.settings import Settings

ADDRESS = "ops.model_versions"
BASELINE = "baseline"
PROMOTED, REJECTED, DEMOTED = "promoted", "rejected", "demoted"


def find_champion(catalog: Catalog, model_name: str, day: date, *, serves_days: int) -> dict[str, Any] | None:
    """Return the version that serves for predictions of ``day``; ``None`` when the baseline serves.

    It is the newest promoted version trained on days up to ``day``, unless it was demoted on an earlier
    day or was trained more than ``serves_days`` days before. The version before it is no substitute: it was
    beaten.
    """
    rows = (
        catalog.load_table(ADDRESS)
        .scan(f"model_name = {model_name!r} and trained_through_date <= {day.isoformat()!r}")
        .to_arrow()
        .to_pylist()
    )
    promoted = [row for row in rows if row["status"] == PROMOTED]
    newest = max(promoted, key=lambda row: (row["trained_through_date"], row["trained_at"]), default=None)
    if newest is None or (day - newest["trained_through_date"]).days > serves_days:
        return None
    demoted = [
        row["decided_date"]
        for row in rows
        if row["status"] == DEMOTED and row["model_version"] == newest["model_version"]
    ]
    return None if any(decided < day for decided in demoted) else newest


def load_artifact(catalog: Catalog, version: dict[str, Any]) -> bytes:
    """Return the stored bytes of a version; its digest is checked by the reader of the bytes."""
    return read_artifact(catalog, version["artifact_url"])


def register(
    settings: Settings,
    catalog: Catalog,
    *,
    model_name: str,
    day: date,
    artifact: bytes,
    sha256: str,
    is_promoted: bool,
    reasons: str,
    manifest: dict[str, Any],
) -> dict[str, Any]:
    """Store the artifact and the gate's verdict on it; return the row.

    The same artifact is registered once: the row of the first time, with the verdict of then, is returned.
    """
    version = f"{day}-{sha256[:8]}"
    known = _rows(catalog, model_name, version)
    if first := next((row for row in known if row["status"] != DEMOTED), None):
        return first
    location = f"{settings.artifacts.rstrip('/')}/{model_name}/{version}/model.skops"
    write_artifact(catalog, location, artifact)
    row = {
        "model_name": model_name,
        "model_version": version,
        "trained_through_date": day,
        "status": PROMOTED if is_promoted else REJECTED,
        "decided_date": day,
        "is_promoted": is_promoted,
        "gate_reasons": reasons,
        "artifact_url": location,
        "artifact_sha256": sha256,
        "manifest": json.dumps(manifest, default=str, sort_keys=True),
        "trained_at": datetime.now(UTC),
    }
    append_rows(catalog, ADDRESS, [row])
    return row


def demote(catalog: Catalog, champion: dict[str, Any], day: date, reasons: str) -> None:
    """Record that a version does not serve for predictions of days after ``day``; once for each version."""
    known = _rows(catalog, champion["model_name"], champion["model_version"])
    if any(row["status"] == DEMOTED for row in known):
        return
    verdict = {
        "status": DEMOTED,
        "decided_date": day,
        "is_promoted": False,
        "gate_reasons": reasons,
        "manifest": "{}",
        "trained_at": datetime.now(UTC),
    }
    append_rows(catalog, ADDRESS, [champion | verdict])


def _rows(catalog: Catalog, model_name: str, version: str) -> list[dict[str, Any]]:
    condition = f"model_name = {model_name!r} and model_version = {version!r}"
    rows: list[dict[str, Any]] = catalog.load_table(ADDRESS).scan(condition).to_arrow().to_pylist()
    return rows
