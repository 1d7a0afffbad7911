"""Which TestGrid gets requests, and for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TestGridSettings:
    """The settings ``CILAKE_TESTGRID_…``."""

    url: str = "https://testgrid.k8s.io"
    # No default is right for everybody. The public front end has no listing to match a wildcard against.
    dashboards: str = ""

    @property
    def patterns(self) -> list[str]:
        """The configured dashboard names or patterns, in order."""
        return [pattern.strip() for pattern in self.dashboards.split(",") if pattern.strip()]
