"""The queries of the guides as saved queries in SQL Lab.

Superset shows everybody only their own saved queries, so every user has a copy of each.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from guide_queries import GuideQuery

NAMESPACE = uuid.UUID("6c1f2f0a-8c0e-5b60-9a55-2f6f0f6f6d3e")
MARK = json.dumps({"cilake": "guide"})
"""The mark of our copies: saved queries of people have none. Superset neither shows nor changes it."""


def replace_copies(queries: list[GuideQuery], database_uuid: str) -> int:
    """Make every user's copies these queries and return their number; other queries of ours are removed.

    What people saved themselves is left alone.
    """
    from superset.extensions import db, security_manager
    from superset.models.core import Database
    from superset.models.sql_lab import SavedQuery

    database = db.session.query(Database).filter_by(uuid=database_uuid).one()
    wanted = {
        row["uuid"]: row
        for (user_id,) in db.session.query(security_manager.user_model.id)
        for row in (_copy(user_id, q.label, q.sql, _origin(q.guide), database.id) for q in queries)
    }
    count = len(wanted)
    for copy in db.session.query(SavedQuery).filter(SavedQuery.extra_json == MARK).all():
        row = wanted.pop(copy.uuid, None)
        if row is None:
            db.session.delete(copy)
            continue
        for name, value in row.items():
            setattr(copy, name, value)
    for row in wanted.values():
        db.session.add(SavedQuery(**row))
    db.session.commit()
    return count


def give_to_new_users() -> None:
    """Give users that are added to Superset from now on the same copies as its first user."""
    import sqlalchemy
    from superset.extensions import security_manager
    from superset.models.sql_lab import SavedQuery

    table = SavedQuery.__table__
    ours = table.c.extra_json == MARK
    first = sqlalchemy.select(sqlalchemy.func.min(table.c.user_id)).where(ours).scalar_subquery()
    columns = (table.c.label, table.c.sql, table.c.description, table.c.db_id)
    of_first = sqlalchemy.select(*columns).where(ours, table.c.user_id == first)

    @sqlalchemy.event.listens_for(security_manager.user_model, "after_insert")
    def add_copies(_mapper: Any, connection: Any, user: Any) -> None:
        rows = [_copy(user.id, *query) for query in connection.execute(of_first)]
        if rows:
            connection.execute(table.insert(), rows)


def _origin(guide: str) -> str:
    return f"From {guide}. An update of cilake brings it back: save your own version under another name."


def _copy(user_id: int, label: str, sql: str, description: str, database_id: int) -> dict[str, Any]:
    """Return the saved query of one user as a row; the same query of the same user keeps its UUID."""
    return {
        "uuid": uuid.uuid5(NAMESPACE, f"{user_id}\n{label}"),
        "label": label,
        "sql": sql,
        "description": description,
        "db_id": database_id,
        "user_id": user_id,
        "created_by_fk": user_id,
        "changed_by_fk": user_id,
        "extra_json": MARK,
    }
