"""What Superset opens after the login and at `/`: the dashboard that leads to the others."""

from __future__ import annotations

from flask import redirect, url_for
from flask_appbuilder import expose
from superset.initialization import SupersetIndexView
from superset.superset_typing import FlaskResponse
from superset.utils.core import get_user_id

SLUG = "start"


class StartView(SupersetIndexView):
    """The address `/`; Superset's own start page is still found at `/superset/welcome/`."""

    @expose("/")
    def index(self) -> FlaskResponse:
        """Redirect to the login, then to the start page, or to Superset's own for who cannot see ours."""
        if not get_user_id():
            return redirect(self.appbuilder.get_url_for_login)
        if _is_visible():
            return redirect(url_for("Superset.dashboard", dashboard_id_or_slug=SLUG))
        return redirect(url_for("Superset.welcome"))


def _is_visible() -> bool:
    from superset.commands.dashboard.exceptions import (
        DashboardAccessDeniedError,
        DashboardNotFoundError,
    )
    from superset.daos.dashboard import DashboardDAO

    try:
        DashboardDAO.get_by_id_or_slug(SLUG)
    except (DashboardNotFoundError, DashboardAccessDeniedError):
        return False
    return True
