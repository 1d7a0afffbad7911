from __future__ import annotations

import pytest

from cilake_airflow.settings import SettingsError, read_settings

pytestmark = pytest.mark.airflow


def test_defaults():
    settings = read_settings({})
    assert (settings.backend, settings.jobs_bin, settings.job_settings) == ("connect", "cilake", {})


def test_the_file_wins_because_it_is_newer(tmp_path):
    (tmp_path / "settings.env").write_text(
        "# comment\nCILAKE_TESTGRID_URL=http://127.0.0.1:1\nCILAKE_S3_SECRET_KEY='a=b'\n"
        "CILAKE_JOBS_PYTHON=/envs/jobs/bin/python\n"
    )
    settings = read_settings({"CILAKE_HOME": str(tmp_path), "CILAKE_TESTGRID_URL": "https://old"})
    assert settings.job_settings["CILAKE_TESTGRID_URL"] == "http://127.0.0.1:1"
    assert settings.jobs_bin == "/envs/jobs/bin/cilake"
    assert settings.secrets == ["a=b"]
    assert "a=b" not in repr(settings)


def test_unknown_back_end():
    with pytest.raises(SettingsError, match="connect, spark_submit, emr_serverless"):
        read_settings({"CILAKE_BACKEND": "yarn"})


def test_malformed_file(tmp_path):
    (tmp_path / "settings.env").write_text("CILAKE_A=1\nnonsense\n")
    with pytest.raises(SettingsError, match="line 2"):
        read_settings({"CILAKE_HOME": str(tmp_path)})
