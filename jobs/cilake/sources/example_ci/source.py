"""What Example CI is to the lake."""

from __future__ import annotations

from cilake.sources.base import Source
from cilake.sources.example_ci.collect import NAME, collect, is_project
from cilake.sources.example_ci.parse import build_decoder, describe
from cilake.sources.example_ci.settings import ExampleCiSettings

SOURCE = Source(
    name=NAME,
    title="Example CI",
    settings=ExampleCiSettings,
    scope="project",
    scope_setting="CILAKE_EXAMPLE_CI_PROJECTS",
    endpoints={"builds": "raw.example_ci__builds"},
    collect=collect,
    decoders={"raw.example_ci__builds": build_decoder},
    describe=describe,
    is_natural_id=is_project,
    natural_id_form="PROJECT",
)
