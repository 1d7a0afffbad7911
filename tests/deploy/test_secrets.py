"""Who is given which secret: each service and each kind of job what its files read, in both stacks."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading

import pytest
from deploy.images import start_s3, start_spark
from deploy.local import configuration, layout, processes
from deploy.local.configuration import is_secret
from deploy.local.services.table import BY_NAME
from deploy.local.supervise import supervision
from tests.deploy.compose_file import SERVICES, environment_of

AIRFLOW = ("CILAKE_AIRFLOW_DB_PASSWORD", "CILAKE_AIRFLOW_FERNET_KEY")
AIRFLOW += ("CILAKE_AIRFLOW_JWT_SECRET", "CILAKE_AIRFLOW_SECRET_KEY")
LAKE = ("CILAKE_CATALOG_PASSWORD", "CILAKE_S3_ACCESS_KEY", "CILAKE_S3_SECRET_KEY")
READER = ("CILAKE_CATALOG_READER_PASSWORD", "CILAKE_S3_READER_ACCESS_KEY", "CILAKE_S3_READER_SECRET_KEY")
TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"
SUPERSET = ("CILAKE_SUPERSET_DB_PASSWORD", "CILAKE_SUPERSET_SECRET_KEY", "CILAKE_SUPERSET_GUEST_SECRET")

STORAGE = ("CILAKE_S3_ACCESS_KEY", "CILAKE_S3_SECRET_KEY")

EMBEDDED = {
    "postgres": (),
    "s3": ("CILAKE_S3_INTERNAL_SECRET",),
    "spark": STORAGE,  # for its Python workers; the others are in its properties file
    "trino": ("CILAKE_TRINO_SHARED_SECRET", *READER),
    "superset": SUPERSET,
    "jobs": (),  # whoever hands work over brings its own
    "ciworld": (),
    # What the cluster's members know each other by is in their properties file; a job brings its own.
    "spark-master": (),
    "spark-worker-1": (),
    "spark-worker-2": (),
} | dict.fromkeys([name for name in BY_NAME if name.startswith("airflow")], AIRFLOW)
COMPOSE = {
    "postgres": (
        "CILAKE_POSTGRES_PASSWORD",
        "CILAKE_CATALOG_PASSWORD",
        "CILAKE_CATALOG_READER_PASSWORD",
        "CILAKE_AIRFLOW_DB_PASSWORD",
        "CILAKE_SUPERSET_DB_PASSWORD",
        "CILAKE_MARQUEZ_DB_PASSWORD",
    ),
    "s3": ("CILAKE_S3_INTERNAL_SECRET", *LAKE[1:], *READER[1:]),
    "spark-master": ("CILAKE_SPARK_SECRET",),
    "spark-worker": ("CILAKE_SPARK_SECRET",),
    "driver-network": (),
    "spark-connect": ("CILAKE_SPARK_SECRET", TOKEN, *LAKE),
    "prepare-lake": LAKE,
    "trino": ("CILAKE_TRINO_SHARED_SECRET", *READER),
    "trino-worker": ("CILAKE_TRINO_SHARED_SECRET", *READER),
    "prepare-airflow": (*AIRFLOW, "CILAKE_AIRFLOW_PASSWORD", "CILAKE_AIRFLOW_VIEWER_PASSWORD"),
    "airflow-api-server": AIRFLOW,
    "airflow-scheduler": (*AIRFLOW, *LAKE, TOKEN),
    "airflow-dag-processor": AIRFLOW,
    "airflow-triggerer": AIRFLOW,
    "prepare-superset": (
        *SUPERSET,
        "CILAKE_TRINO_SUPERSET_PASSWORD",
        "CILAKE_SUPERSET_PASSWORD",
        "CILAKE_SUPERSET_VIEWER_PASSWORD",
    ),
    "superset": (*SUPERSET, "CILAKE_TRINO_SUPERSET_PASSWORD"),
    "marquez": ("CILAKE_MARQUEZ_DB_PASSWORD",),
    "marquez-web": (),
}


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """An embedded stack's layout and settings, in an environment that itself holds secrets."""
    for name in (*configuration.PORTS, *configuration.DEFAULTS):
        monkeypatch.delenv(name, raising=False)
    here = layout.Layout(tmp_path, layout.current().shared)
    here.make()
    settings = configuration.prepare(here)
    for name in filter(is_secret, settings):
        monkeypatch.setenv(name, f"of the shell: {name}")
    return here, settings


def secrets_in(environment, settings):
    """The names of the settings whose secret values are in the environment, under whatever name."""
    text = "\n".join(environment.values())
    return {name for name, value in settings.items() if is_secret(name) and value in text}


def test_every_generated_value_is_known_to_be_a_secret():
    assert [name for name in configuration._SECRETS if not is_secret(name)] == []
    assert [name for name in (*configuration.PORTS, *configuration.DEFAULTS) if is_secret(name)] == []


def test_the_list_names_every_service():
    assert set(EMBEDDED) == set(BY_NAME)
    assert set(COMPOSE) == set(SERVICES)


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_a_service_of_the_embedded_stack_is_given_its_own_secrets(stack, name):
    here, settings = stack
    environment = BY_NAME[name].whole_environment(here, settings)
    assert secrets_in(environment, settings) == set(EMBEDDED[name])
    assert "of the shell" not in "\n".join(environment.values())
    assert environment["CILAKE_HOME"] == settings["CILAKE_HOME"]


def test_the_supervisor_is_given_none(stack):
    here, settings = stack
    assert supervision.environment is configuration.environment
    assert secrets_in(configuration.environment(here, settings), settings) == set()


@pytest.mark.parametrize("name", sorted(COMPOSE))
def test_a_container_is_given_its_own_secrets(name):
    environment = environment_of(name) if "environment" in SERVICES[name] else {}
    found = set(re.findall(r"secret-([A-Z0-9_]+)", "\n".join(environment.values())))
    assert found == set(COMPOSE[name])


def test_the_parts_of_s3_know_each_other_in_both_stacks(stack):
    here, settings = stack
    own = BY_NAME["s3"].whole_environment(here, settings)
    keys = start_s3.internal_keys(environment_of("s3"))
    assert len(keys) == 4 and keys.keys() <= own.keys()
    assert set(keys.values()) == {"secret-CILAKE_S3_INTERNAL_SECRET"}


@pytest.mark.parametrize("role", ["master", "worker", "connect"])
def test_processes_of_spark_inherit_no_secret(role):
    environment = environment_of(f"spark-{role}")
    assert "secret-" in "\n".join(environment.values())
    assert "secret-" not in "\n".join(start_spark.without_secrets(environment).values())


WORKER = """
import os, sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote(sys.argv[1]).create()

def look(batches):
    import pandas, os
    for _ in batches:
        yield pandas.DataFrame({"line": [f"{k}={v}" for k, v in os.environ.items()]})

print("\\n".join(r.line for r in spark.range(1).mapInPandas(look, "line string").collect()))
"""


@pytest.mark.timeout(240)
def test_python_workers_of_spark_inherit_the_keys_of_files_alone_and_the_server_asks_for_the_token(
    stack, monkeypatch
):
    """The Connect server as the embedded stack starts it, with its own properties and environment."""
    monkeypatch.undo()
    here, settings = stack
    server = BY_NAME["spark"]
    for path, text in server.files(here, settings).items():
        configuration.write_private(path, text)
    port = free_port()
    properties = here.run / "spark" / "spark.properties"
    text = re.sub(r"(spark.connect.grpc.binding.port) \d+", rf"\1 {port}", properties.read_text())
    properties.write_text(text)
    environment = server.whole_environment(here, settings)
    with (here.log / "spark.log").open("wb") as log:
        process = subprocess.Popen(server.command(here, settings), env=environment, stdout=log, stderr=log)
    try:
        waiting = threading.Event()
        while not processes.listening(port) and process.poll() is None:
            waiting.wait(0.3)
        client = {name: value for name, value in environment.items() if name != "SPARK_HOME"}

        def ask(token):
            return subprocess.run(
                [sys.executable, "-c", WORKER, f"sc://localhost:{port}"],
                env=client | {TOKEN: token},
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )

        done = ask(settings[TOKEN])
        assert done.returncode == 0, done.stderr[-2000:] + (here.log / "spark.log").read_text()[-2000:]
        assert "PATH=" in done.stdout
        assert secrets_in({"all": done.stdout}, settings) == set(STORAGE)
        refused = ask("another")
        assert refused.returncode != 0
        assert "UNAUTHENTICATED" in refused.stderr or "Invalid authentication token" in refused.stderr
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_stack_hands_the_work_what_it_needs(stack):
    here, settings = stack
    environment = configuration.environment(here, settings, *configuration.OF_THE_WORK)
    assert secrets_in(environment, settings) == {*LAKE, TOKEN}
