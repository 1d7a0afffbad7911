from __future__ import annotations

import pytest

from cilake_airflow.settings import OTHER_SECRETS, SettingsError, is_secret, read_settings

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


LAKE = {"CILAKE_CATALOG_PASSWORD", "CILAKE_S3_ACCESS_KEY", "CILAKE_S3_SECRET_KEY"}
TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"


@pytest.mark.parametrize(
    ("verb", "secrets"),
    [
        ("land", LAKE),
        *((verb, LAKE | {TOKEN}) for verb in ("build", "train", "score", "measure", "maintain")),
    ],
)
def test_a_job_is_given_its_own_secrets_and_all_other_settings(stack_settings, verb, secrets):
    given = read_settings({"CILAKE_HOME": str(stack_settings)}).settings_of(verb, "testgrid")
    assert {name for name in given if is_secret(name)} == secrets
    assert {"CILAKE_TESTGRID_URL", "CILAKE_WAREHOUSE", "CILAKE_CATALOG_USER"} <= set(given)


def test_a_landing_alone_is_given_the_secrets_of_its_source():
    given = {"CILAKE_EXAMPLE_CI_TOKEN": "t", "CILAKE_EXAMPLE_CI_URL": "u", "CILAKE_NO_SOURCE_TOKEN": "n"}
    settings = read_settings(given)
    assert settings.secrets == ["t"]
    assert settings.settings_of("land", "example_ci") == {
        "CILAKE_EXAMPLE_CI_TOKEN": "t",
        "CILAKE_EXAMPLE_CI_URL": "u",
    }
    others = [("land", "testgrid"), ("build", "core_ci"), ("build", "example_ci")]
    assert [settings.settings_of(*step) for step in others] == [{"CILAKE_EXAMPLE_CI_URL": "u"}] * 3


def test_every_verb_of_the_dags_has_its_list():
    from tests.support.airflow_session import DAGS

    verbs = {path.stem.partition("_")[0] for path in DAGS.glob("*.py")}
    assert verbs == set(OTHER_SECRETS)


def test_what_no_job_needs_is_not_even_read(stack_settings):
    settings = read_settings({"CILAKE_HOME": str(stack_settings), "CILAKE_SUPERSET_PASSWORD": "x"})
    assert {name for name in settings.job_settings if is_secret(name)} == LAKE | {TOKEN}


def test_the_work_inherits_no_secret_of_airflow(stack_settings):
    from cilake_airflow.backends.connect import child_environment

    own = {"PATH": "/bin", "CILAKE_AIRFLOW_FERNET_KEY": "f", "AIRFLOW__API__SECRET_KEY": "a", TOKEN: "t"}
    given = child_environment(
        own, read_settings({"CILAKE_HOME": str(stack_settings)}).settings_of("land", "testgrid")
    )
    assert given["PATH"] == "/bin"
    assert {name for name in given if is_secret(name) or name.startswith("AIRFLOW")} == LAKE


@pytest.fixture
def stack_settings(tmp_path):
    """The home of an embedded stack whose settings are written."""
    from deploy.local import configuration, layout

    here = layout.Layout(tmp_path, tmp_path)
    here.make()
    configuration.prepare(here)
    return tmp_path
