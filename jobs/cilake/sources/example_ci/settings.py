"""Which service gets requests, and for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExampleCiSettings:
    """The settings ``CILAKE_EXAMPLE_CI_…``."""

    url: str = ""
    projects: str = ""

    @property
    def project_names(self) -> list[str]:
        """The configured projects, in order, each once."""
        return list(dict.fromkeys(name.strip() for name in self.projects.split(",") if name.strip()))
