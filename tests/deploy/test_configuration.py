"""The files of settings of the embedded stack: all of it for its services, less for those who read."""

from __future__ import annotations

import stat

import pytest
from deploy.local import configuration
from deploy.local.layout import Layout

from cilake.variables import read_variables

SECRET = ("PASSWORD", "SECRET", "TOKEN", "_KEY")


@pytest.fixture
def layout(tmp_path, monkeypatch):
    for name in (*configuration.PORTS, *configuration.DEFAULTS):
        monkeypatch.delenv(name, raising=False)
    return Layout(tmp_path, tmp_path)


def test_readers_get_a_private_file_without_a_login_that_writes(layout):
    settings = configuration.prepare(layout)
    given = read_variables(layout.reader_file.read_text())
    assert stat.S_IMODE(layout.reader_file.stat().st_mode) == 0o600
    assert given["CILAKE_CATALOG_USER"] == "iceberg_reader"
    secret = {name: value for name, value in settings.items() if name.endswith(SECRET)}
    assert {name for name, value in secret.items() if value in given.values()} == {
        "CILAKE_CATALOG_READER_PASSWORD",
        "CILAKE_S3_READER_ACCESS_KEY",
        "CILAKE_S3_READER_SECRET_KEY",
    }
    assert given["CILAKE_TRINO_URL"] == settings["CILAKE_TRINO_URL"]


def test_it_follows_the_settings_and_is_left_alone_otherwise(layout, monkeypatch):
    configuration.prepare(layout)
    before = layout.reader_file.stat().st_ino
    configuration.prepare(layout)
    assert layout.reader_file.stat().st_ino == before
    monkeypatch.setenv("CILAKE_PORT_TRINO", "20123")
    configuration.prepare(layout)
    assert ":20123" in read_variables(layout.reader_file.read_text())["CILAKE_TRINO_URL"]


def test_what_the_shell_sets_for_another_airflow_does_not_reach_ours(layout, monkeypatch):
    """With another level of logging the log of a task lacked the output of the job."""
    monkeypatch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    settings = configuration.prepare(layout)
    environment = configuration.environment(layout, settings)
    assert not [name for name in environment if "AIRFLOW_" in name and not name.startswith("CILAKE_")]
    assert "PYTHONPATH" not in environment
