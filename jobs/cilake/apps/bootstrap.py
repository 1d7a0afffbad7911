"""``cilake bootstrap``: the tables of the contracts, created where they do not exist."""

from __future__ import annotations

from cilake.apps.progress import say
from cilake.lake.catalog import create_tables, open_catalog
from cilake.settings import Settings


def bootstrap(settings: Settings) -> dict[str, int]:
    """The number of tables created; existing ones are left as they are."""
    created = create_tables(open_catalog(settings))
    for address in created:
        say(f"created {address}")
    return {"created": len(created)}
