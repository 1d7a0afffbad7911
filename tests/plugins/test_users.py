"""Who may log in to the embedded Airflow: the admin, and a viewer who changes nothing."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.airflow

USERS = {"admin": "", "viewer": "_VIEWER"}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The stack's settings, with the users and passwords that they give to Airflow."""
    from deploy.local import configuration, layout
    from deploy.local.install import java
    from deploy.local.services.table import BY_NAME

    here = layout.Layout(tmp_path, tmp_path)
    here.make()
    found = configuration.prepare(here)
    monkeypatch.setattr(java, "for_spark", lambda _: java.Java(tmp_path, 17))  # no task is run
    environment = BY_NAME["airflow-api-server"].whole_environment(here, found)
    for name in ("USERS", "PASSWORDS_FILE"):
        variable = f"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_{name}"
        monkeypatch.setenv(variable, environment[variable])
    return found


def test_each_has_its_own_password_and_role(settings):
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.datamodels.login import LoginBody
    from airflow.api_fastapi.auth.managers.simple.services.login import SimpleAuthManagerLogin
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from fastapi import HTTPException

    passwords = {user: settings[f"CILAKE_AIRFLOW{name}_PASSWORD"] for user, name in USERS.items()}
    assert len(set(passwords.values())) == 2
    roles = {user.username: user.role for user in SimpleAuthManager.get_users()}
    assert roles == {"admin": "admin", "viewer": "viewer"}
    create_auth_manager()
    for user, word in passwords.items():
        assert SimpleAuthManagerLogin.create_token(LoginBody(username=user, password=word))
        with pytest.raises(HTTPException):
            SimpleAuthManagerLogin.create_token(LoginBody(username=user, password=passwords["admin"][::-1]))


def test_the_viewer_sees_pages_and_logs_and_runs_nothing(settings):
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    manager, viewer = SimpleAuthManager(), SimpleAuthManagerUser(username="viewer", role="viewer")
    assert manager.is_authorized_view(access_view=AccessView.WEBSITE, user=viewer), "our pages require this"
    logs, runs = DagAccessEntity.TASK_LOGS, DagAccessEntity.RUN
    assert manager.is_authorized_dag(method="GET", access_entity=logs, user=viewer)
    assert not manager.is_authorized_dag(method="POST", access_entity=runs, user=viewer)
    assert not manager.is_authorized_pool(method="PUT", user=viewer)
