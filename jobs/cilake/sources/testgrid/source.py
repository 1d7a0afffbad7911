"""What TestGrid is to us: endpoints, limits and the raw tables they fill."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A source's endpoints by raw table, and how politely it is asked."""

    name: str
    title: str
    address_setting: str
    homepage: str
    endpoints: dict[str, str]
    attempts: int
    payload_limit_bytes: int


SOURCE = Source(
    name="testgrid",
    title="TestGrid",
    address_setting="CILAKE_TESTGRID_URL",
    homepage="https://github.com/GoogleCloudPlatform/testgrid",
    endpoints={"summary": "raw.testgrid__summaries", "table": "raw.testgrid__tables"},
    attempts=6,
    payload_limit_bytes=256 * 1024 * 1024,
)
