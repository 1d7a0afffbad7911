"""cilake: a data lake and batch scoring platform for CI data."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Return ``cilake.connect``, loaded when it is first used: jobs and DAGs do without the client."""
    if name in ("connect", "Lake", "LakeError"):
        from cilake.client import lake

        return getattr(lake, name)
    raise AttributeError(f"module 'cilake' has no attribute {name!r}")
