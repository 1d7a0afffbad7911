"""The role *Viewer*: look, drill, explore, query in SQL Lab and download, but change nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

VIEWER = "Viewer"
PERMISSIONS: dict[str, tuple[str, ...]] = {
    # The menu and what every page needs.
    "Home": ("menu_access",),
    "Dashboards": ("menu_access",),
    "Charts": ("menu_access",),
    "MenuApi": ("can_get",),
    "CurrentUserRestApi": ("can_read",),
    "SecurityRestApi": ("can_read",),
    "security": ("can_read",),
    "user": ("can_read",),
    "AvailableDomains": ("can_read",),
    "Theme": ("can_read",),
    "CssTemplate": ("can_read",),
    "Tag": ("can_read",),
    "Log": ("can_recent_activity",),
    # Dashboards and their charts, with filters and links to a filtered state.
    "Dashboard": (
        "can_read",
        "can_drill",
        "can_view_chart_as_table",
        "can_view_query",
        "can_export",
    ),
    "DashboardFilterStateRestApi": ("can_read", "can_write"),
    "DashboardPermalinkRestApi": ("can_read", "can_write"),
    "Chart": ("can_read", "can_export"),
    "Dataset": ("can_read", "can_get_drill_info"),
    "Datasource": ("can_get", "can_get_column_values", "can_samples", "can_validate_expression"),
    "AdvancedDataType": ("can_read",),
    "Api": ("can_query", "can_query_form_data", "can_time_range"),
    "Superset": (
        "can_csv",
        "can_dashboard",
        "can_dashboard_permalink",
        "can_explore",
        "can_explore_json",
        "can_fetch_datasource_metadata",
        "can_language_pack",
        "can_log",
        "can_share_chart",
        "can_share_dashboard",
        "can_slice",
        "can_sqllab",
        "can_sqllab_history",
    ),
    # Explore: a changed chart has an address to share; nothing is saved without Chart's can_write.
    "Explore": ("can_read",),
    "ExploreFormDataRestApi": ("can_read", "can_write"),
    "ExplorePermalinkRestApi": ("can_read", "can_write"),
    # SQL Lab. The catalog is read-only, and so is the database in dashboards/databases.
    "SQL Lab": ("menu_access",),
    "SQL Editor": ("menu_access",),
    "Saved Queries": ("menu_access",),
    "Query Search": ("menu_access",),
    "Database": ("can_read",),
    "Query": ("can_read",),
    "SQLLab": (
        "can_execute_sql_query",
        "can_export_csv",
        "can_export_streaming_csv",
        "can_format_sql",
        "can_get_results",
        "can_read",
    ),
    "SavedQuery": ("can_read", "can_list", "can_write", "can_export"),
    "SqlLabPermalinkRestApi": ("can_read", "can_write"),
    "TabStateView": (
        "can_activate",
        "can_delete",
        "can_delete_query",
        "can_get",
        "can_migrate_query",
        "can_post",
        "can_put",
    ),
    "TableSchemaView": ("can_delete", "can_expanded", "can_post"),
}
"""What the role may do, by what Superset calls a view; it writes own states, tabs and saved queries only."""


def ensure_role() -> Any:
    """Make the role, or repair it, and return it; data that people opened to it stays open."""
    from superset.extensions import db, security_manager

    role = security_manager.add_role(VIEWER)
    wanted = []
    for view, names in PERMISSIONS.items():
        for name in names:
            permission = security_manager.find_permission_view_menu(name, view)
            if permission is None:
                sys.exit(f"Superset has no permission {name} on {view}: adapt deploy/superset/viewer_role.py")
            wanted.append(permission)
    of_data = security_manager.OBJECT_SPEC_PERMISSIONS
    role.permissions = wanted + [kept for kept in role.permissions if kept.permission.name in of_data]
    db.session.commit()
    return role


def open_databases(uuids: Iterable[str]) -> None:
    """Let the role read these databases; others that people add stay closed until they open them."""
    from superset.extensions import db, security_manager
    from superset.models.core import Database

    role = security_manager.find_role(VIEWER)
    for database in db.session.query(Database).filter(Database.uuid.in_(list(uuids))):
        permission = security_manager.add_permission_view_menu("database_access", database.perm)
        security_manager.add_permission_role(role, permission)
    db.session.commit()
