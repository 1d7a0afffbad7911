"""What Superset was given from the files, kept in its own database: people's changes are not undone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy

TABLE = sqlalchemy.Table(
    "cilake_imports",
    sqlalchemy.MetaData(),
    sqlalchemy.Column("name", sqlalchemy.String(50), primary_key=True),
    sqlalchemy.Column("value", sqlalchemy.Text, nullable=False),
)
DASHBOARDS, GUIDES, ASSETS = "dashboards", "guides", "assets"
"""The names of what is kept: digests of the files and of the guides, and the UUIDs of the assets."""


def digest(texts: Iterable[str]) -> str:
    """Return what differs when any of the texts does, or their order."""
    whole = hashlib.sha256()
    for text in texts:
        whole.update(hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()


def read(session: Any) -> dict[str, str]:
    """Return what was kept, by name; nothing in a database that was never imported into."""
    TABLE.create(session.connection(), checkfirst=True)
    return {row.name: row.value for row in session.execute(sqlalchemy.select(TABLE.c.name, TABLE.c.value))}


def keep(session: Any, values: Mapping[str, str]) -> None:
    """Keep these values in place of those of the same names, and commit."""
    session.execute(TABLE.delete().where(TABLE.c.name.in_(list(values))))
    session.execute(TABLE.insert(), [{"name": name, "value": value} for name, value in values.items()])
    session.commit()
