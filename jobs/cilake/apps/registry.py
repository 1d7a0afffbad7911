"""The model registry: versions in ``ops.model_versions``, artifacts beside the lake."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from pyiceberg.catalog import Catalog

from cilake.lake.artifacts import read_artifact, write_artifact
from cilake.landing.writer import append_rows
from cilake.settings import Settings

ADDRESS = "ops.model_versions"
BASELINE = "baseline"


def find_champion(catalog: Catalog, model_name: str, day: date) -> dict[str, Any] | None:
    """The newest promoted version trained on days up to ``day``; ``None`` when the baseline serves."""
    rows = (
        catalog.load_table(ADDRESS)
        .scan(f"model_name = {model_name!r} and trained_through_date <= {day.isoformat()!r}")
        .to_arrow()
        .to_pylist()
    )
    promoted = [row for row in rows if row["is_promoted"]]
    return max(promoted, key=lambda row: (row["trained_through_date"], row["trained_at"]), default=None)


def load_artifact(catalog: Catalog, version: dict[str, Any]) -> bytes:
    """The stored bytes of a version; its digest is checked by the reader of the bytes."""
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
    reasons: list[str],
    manifest: dict[str, Any],
) -> str:
    """The version under which the artifact is registered; the same artifact is registered once."""
    version = f"{day}-{sha256[:8]}"
    known = catalog.load_table(ADDRESS).scan(f"model_name = {model_name!r} and model_version = {version!r}")
    if known.to_arrow().num_rows:
        return version
    location = f"{settings.artifacts.rstrip('/')}/{model_name}/{version}/model.skops"
    write_artifact(catalog, location, artifact)
    append_rows(
        catalog,
        ADDRESS,
        [
            {
                "model_name": model_name,
                "model_version": version,
                "trained_through_date": day,
                "is_promoted": is_promoted,
                "gate_reasons": "; ".join(reasons) or "passed every gate",
                "artifact_url": location,
                "artifact_sha256": sha256,
                "manifest": json.dumps(manifest, default=str, sort_keys=True),
                "trained_at": datetime.now(UTC),
            }
        ],
    )
    return version
