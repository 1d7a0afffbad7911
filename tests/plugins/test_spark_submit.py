from __future__ import annotations

import json
from datetime import date

import pytest

pytestmark = pytest.mark.airflow


def hook(monkeypatch, host="spark://master", **extra):
    from cilake_airflow.backends.job import Job
    from cilake_airflow.backends.spark_submit import build_hook
    from cilake_airflow.settings import read_settings

    connection = {"conn_type": "spark", "host": host, "port": 7077, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CILAKE_SPARK", json.dumps(connection))
    return build_hook(Job(verb=("build", "core_ci"), day=date(2026, 3, 1)), read_settings())


EXTRA = {
    "application": "/opt/cilake/cilake_job.py",
    "py_files": "/opt/cilake/cilake.zip",
    "conf": {"spark.sql.defaultCatalog": "lake"},
}


def test_the_command(monkeypatch):
    monkeypatch.setenv("CILAKE_S3_SECRET_KEY", "very-secret")
    built = hook(monkeypatch, **EXTRA)
    command = built._build_spark_submit_command(built.application)
    assert command[:3] == ["spark-submit", "--master", "spark://master:7077"]
    assert command[command.index("--py-files") + 1] == "/opt/cilake/cilake.zip"
    assert "spark.sql.defaultCatalog=lake" in command
    end = ["/opt/cilake/cilake_job.py", "build", "core_ci", "--start", "2026-03-01", "--end", "2026-03-02"]
    assert command[-7:] == end
    assert "very-secret" not in " ".join(command)
    assert built._env["CILAKE_S3_SECRET_KEY"] == "very-secret"
    assert built._env["CILAKE_SPARK_REMOTE"] == ""


def test_no_secret_on_the_command_line_of_a_cluster(monkeypatch):
    monkeypatch.setenv("CILAKE_S3_SECRET_KEY", "very-secret")
    built = hook(monkeypatch, host="yarn", **EXTRA, **{"deploy-mode": "cluster"})
    command = built._build_spark_submit_command(built.application)
    assert "very-secret" not in " ".join(command)


def test_a_missing_connection_is_named():
    from airflow.sdk.exceptions import AirflowFailException

    from cilake_airflow.backends.connection import read_connection

    message = "connection cilake_absent does not exist: add it, its extra has a"
    with pytest.raises(AirflowFailException, match=message):
        read_connection("cilake_absent", ["a"])


def test_an_incomplete_connection_is_named(monkeypatch):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="cilake_spark: extra lacks application, py_files"):
        hook(monkeypatch)


def test_success_and_failure_of_the_submission(monkeypatch, tmp_path):
    from airflow.sdk.exceptions import AirflowException

    from cilake_airflow.backends.job import Job
    from cilake_airflow.backends.spark_submit import SparkSubmitRun
    from cilake_airflow.settings import read_settings

    submit = tmp_path / "spark-submit"
    submit.write_text('#!/bin/sh\necho "$@" > "$0.called"\ncase "$*" in *broken*) exit 1;; esac\n')
    submit.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hook(monkeypatch, **EXTRA)
    answer = SparkSubmitRun(read_settings()).run(Job(verb=("build", "core_ci"), day=date(2026, 3, 1)))
    assert answer["backend"] == "spark_submit"
    assert "--start 2026-03-01" in (tmp_path / "spark-submit.called").read_text()
    with pytest.raises(AirflowException):
        SparkSubmitRun(read_settings()).run(Job(verb=("build", "broken"), day=date(2026, 3, 1)))


def test_the_script_is_short_and_calls_the_command_line():
    from tests.support.airflow_session import REPO

    text = (REPO / "jobs" / "cilake_job.py").read_text()
    assert len(text.splitlines()) <= 30
    assert "from cilake.cli import main" in text
