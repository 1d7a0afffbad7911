"""docker-compose.yaml, judged without a container engine: it fits the repository and keeps its own rules."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from deploy.images import health, start_s3, start_spark
from deploy.local.commands import env as env_command
from deploy.local.services import postgres
from tests.deploy.compose_file import (
    COMPOSE,
    DOCKERFILE,
    EXAMPLE,
    REPO,
    SERVICES,
    TEXT,
    environment_of,
    one_shot,
    variables,
)

from cilake.settings import Settings
from cilake.variables import read_variables
from deploy import templates

LONG_LIVED = sorted(name for name, service in SERVICES.items() if not one_shot(service))
SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|_KEY)")


def client():
    """The command of a compose client: the plugin or the program, whichever is there."""
    for args in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(args[0]):
            done = subprocess.run([*args, "version"], capture_output=True, text=True, check=False)
            # Version 1 does not know `required` of a dependency.
            if done.returncode == 0 and "version 1." not in done.stdout:
                return args
    return None


def test_every_variable_is_explained_and_every_explained_one_is_used():
    explained = set(read_variables(EXAMPLE))
    assert variables(TEXT) - explained == set()
    assert explained - variables(TEXT) == {
        "COMPOSE_PROFILES",
        "CILAKE_HOST",
        "CILAKE_TRINO_ANALYST_PASSWORD",
        "CILAKE_TRINO_OPERATOR_PASSWORD",
    }


def test_secrets_have_no_default_and_stand_in_no_file():
    for name, value in read_variables(EXAMPLE).items():
        if SECRET.search(name):
            assert value == "", f"{name} must be generated"
            assert f"${{{name}}}" not in TEXT, f"{name} must be required with :?"
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable):
                assert str(value).startswith("${CILAKE_") or str(value).startswith("${SPARK_"), (
                    name,
                    variable,
                )
    assert not re.search(r"://\w+:(?!\$\{)[^@/\s]+@", TEXT), "an address holds a password"


def test_images_are_pinned_by_version():
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"^ARG \w+_IMAGE=(\S+)", DOCKERFILE, re.M)
    for image in images:
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image), image
    bases = re.findall(r"^FROM (\S+) AS (\S+)", DOCKERFILE, re.M)
    stages = {stage for _, stage in bases}
    assert all(base in stages or base.startswith("${") for base, _ in bases)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_bounded_and_not_root(name):
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["user"] in ("${CILAKE_UID}:${CILAKE_GID}", "999:999")
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service
    assert service["logging"]["options"]["max-size"]
    assert ("healthcheck" in service) is not one_shot(service)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_services_wait_for_health(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if one_shot(SERVICES[other]) else "service_healthy"
        assert how["condition"] == wanted, (name, other)
        # One that is not always there may be waited for only if it is.
        if set(SERVICES[other].get("profiles", [])) - set(SERVICES[name].get("profiles", [])):
            assert how["required"] is False, (name, other)


def test_optional_parts_are_profiles():
    profiles = {name: service["profiles"][0] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {
        "s3": "s3",
        "trino-worker": "trino-worker",
        "marquez": "lineage",
        "marquez-web": "lineage",
    }


def test_only_what_people_use_is_published_and_on_the_chosen_interface():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"airflow-api-server", "superset", "trino", "marquez-web"}
    assert all(port.startswith("${CILAKE_BIND}:") for ports in published.values() for port in ports)
    assert read_variables(EXAMPLE)["CILAKE_BIND"] == "127.0.0.1"


def test_a_service_is_given_no_private_file_of_another():
    mounted = {
        (name, volume.split(":")[0])
        for name, service in SERVICES.items()
        for volume in service.get("volumes", [])
        if volume.startswith("./deploy/private")
    }
    assert ("trino", "./deploy/private/trino") in mounted
    for name, source in mounted - {("trino", "./deploy/private/trino")}:
        assert source == "./deploy/private/trino.crt", f"{name}: only the certificate is for all"


def test_everything_mounted_built_and_run_exists():
    generated = {"deploy/private/trino", "deploy/private/trino.crt", "deploy/private/sources.env"}
    named = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                path = source.removeprefix("./")
                assert path in generated or (REPO / path).exists(), path
            else:
                named.add(source)
        for path in service.get("env_file", []):
            assert path in generated or (REPO / path).is_file()
        if "build" in service:
            assert (REPO / service["build"]["dockerfile"]).is_file()
            assert re.search(rf"^FROM \S+ AS {service['build']['target']}$", DOCKERFILE, re.M)
        args = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
        for first, second in pairwise(args):
            if first == "-m":
                assert (REPO / f"{second.replace('.', '/')}.py").is_file(), second
    assert named == set(COMPOSE["volumes"])
    assert {name for service in SERVICES.values() for name in service.get("networks", [])} <= {
        "default",
        "storage",
    }


def test_what_the_images_copy_exists_and_is_sent_to_the_builder():
    sent = (REPO / ".dockerignore").read_text().splitlines()
    for sources in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M):
        for source in sources.split():
            assert (REPO / source).exists(), source
            first = source.split("/")[0]
            assert f"!{first}" in sent or f"!{first}/*.txt" in sent, f"{source} is not sent"
    assert sent[1] == "*" or "*" in sent[:3]
    assert "deploy/private" in sent
    trino = DOCKERFILE[DOCKERFILE.index("AS trino-node") :]
    made = set(re.findall(r"> /etc/trino/(?:catalog/)?(\S+)", trino))
    for name in set(re.findall(r"[\w-]+\.(?:properties|json)", trino)) - made | {"lake.properties"}:
        assert (REPO / "deploy/trino" / name).is_file(), name


def test_scheduler_and_spark_connect_share_localhost():
    for name in ("airflow-scheduler", "spark-connect"):
        assert SERVICES[name]["network_mode"] == "service:driver-network"
    assert SERVICES["airflow-scheduler"]["environment"]["CILAKE_SPARK_REMOTE"] == "sc://localhost:15002"
    assert SERVICES["spark-connect"]["environment"]["CILAKE_PORT_SPARK"] == "15002"


def test_storage_is_reached_only_by_who_holds_its_key():
    for name, service in SERVICES.items():
        on_storage = "storage" in service.get("networks", [])
        holds = "CILAKE_S3_SECRET_KEY" in service.get("environment", {})
        nothing_to_do = name in ("driver-network", "spark-worker")  # the worker gets it from the driver
        assert not on_storage or holds or nothing_to_do, name


@pytest.mark.parametrize("name", ["trino", "trino-worker"])
def test_trino_is_given_every_variable_that_its_files_ask_for(name):
    names = {
        "trino": ("server", "coordinator", "login", "lake"),
        "trino-worker": ("server", "worker", "lake"),
    }[name]
    asked = templates.asked_for(templates.read(*[f"trino/{part}.properties" for part in names]))
    assert asked
    assert set(asked) <= set(environment_of(name))


@pytest.mark.parametrize("role", ["master", "worker", "connect"])
def test_spark_is_given_what_its_files_ask_for_and_no_secret_is_on_its_command_line(role):
    environment = environment_of(f"spark-{role}") | {"SPARK_HOME": "/spark"}
    text = templates.fill(environment, *start_spark.FILES[role])
    assert "${" not in text
    assert f"spark.authenticate.secret {environment['CILAKE_SPARK_SECRET']}\n" in text
    args = start_spark.command(role, environment)
    assert not [word for word in args if "secret-" in word]
    assert ("spark.sql.catalog.lake.type jdbc\n" in text) is (role == "connect")
    assert Path(args[-1]).is_file() is (role == "connect")
    keys = [line.split(" ", 1)[0] for line in text.splitlines()]
    assert len(keys) == len(set(keys)), "a property is given twice"


def test_a_missing_setting_is_named():
    with pytest.raises(templates.TemplateError, match=r"spark/daemon\.properties.*CILAKE_SPARK_SECRET"):
        templates.fill({}, "spark/daemon.properties")


def test_s3_has_a_key_that_only_reads():
    writer, reader = start_s3.identities(environment_of("s3"), "lake")["identities"]
    assert "Write:lake" in writer["actions"]
    assert reader["actions"] == ["Read:lake", "List:lake"]
    assert writer["credentials"][0]["secretKey"] != reader["credentials"][0]["secretKey"]
    assert not [word for word in start_s3.command() if "secret-" in word]


def test_task_links_lead_to_pages_that_are_there():
    """The API server knows Superset, reads the data docs of the tasks, and has the pages of the tables."""
    server, scheduler = SERVICES["airflow-api-server"], SERVICES["airflow-scheduler"]
    assert server["environment"]["CILAKE_SUPERSET_URL"] == "${CILAKE_SUPERSET_URL}"
    folder = server["environment"]["CILAKE_DATA_DOCS"]
    assert folder == scheduler["environment"]["CILAKE_DATA_DOCS"]
    assert f"data-docs:{folder}:ro" in server["volumes"]
    assert f"data-docs:{folder}" in scheduler["volumes"]
    stage = DOCKERFILE[DOCKERFILE.index(" AS airflow\n") : DOCKERFILE.index(" AS superset\n")]
    assert "COPY plugins plugins" in stage and "COPY docs/tables docs/tables" in stage


def test_the_work_is_given_every_setting_that_a_person_may_want_to_change():
    given = environment_of("airflow-scheduler")
    for page in (REPO / "docs").rglob("*.md"):
        for name in re.findall(r"CILAKE_[A-Z_]*[A-Z]", page.read_text()):
            setting = name.removeprefix("CILAKE_").lower()
            of_work = setting in Settings.__slots__ and not setting.startswith(("trino", "s3", "catalog"))
            assert not of_work or name in given or name == "CILAKE_SPARK_JARS", f"{page.name}: {name}"
    assert {"CILAKE_MAX_LOST_RATIO", "CILAKE_SNAPSHOT_DAYS"} <= set(given)


def test_settings_that_compose_repeats_have_the_defaults_of_the_work():
    example = read_variables(EXAMPLE)
    for name in ("landing_seconds", "landing_concurrency", "max_lost_ratio", "snapshot_days"):
        assert example[f"CILAKE_{name.upper()}"] == str(Settings.__dataclass_fields__[name].default)


def test_every_database_of_the_embedded_stack_is_made_here_too():
    script = (REPO / "deploy/postgres/create_databases.sh").read_text()
    for name, password in postgres._DATABASES.items():
        assert f'run {name} "${password}" database.sql' in script
        assert password in SERVICES["postgres"]["environment"]
    assert os.access(REPO / "deploy/postgres/create_databases.sh", os.X_OK), "a script without x is sourced"


def test_airflow_is_healthy_when_its_api_says_so():
    answer = json.dumps({"scheduler": {"status": "healthy"}, "triggerer": {"status": None}}).encode()
    assert health.works(answer, "scheduler")
    assert not health.works(answer, "triggerer")
    assert not health.works(answer, "dag_processor")


def test_every_stage_declares_the_arguments_it_uses():
    """An argument ends with its stage: undeclared, it would be empty and the user root."""
    for stage in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.M)[1:]:
        for name in ("CILAKE_UID", "CILAKE_GID"):
            assert f"${{{name}}}" not in stage or f"ARG {name}=1000" in stage, stage.splitlines()[0]
    for service in SERVICES.values():
        if "build" in service:
            target = service["build"]["target"]
            stage = DOCKERFILE[DOCKERFILE.index(f" AS {target}\n") :].split("\nFROM ")[0]
            assert stage.rstrip().endswith("USER ${CILAKE_UID}:${CILAKE_GID}"), (
                f"{target} ends as another user"
            )


def test_the_page_names_only_what_exists():
    page = (REPO / "docs/deploy-compose.md").read_text()
    for name in re.findall(r"CILAKE_[A-Z_]*[A-Z]", page):
        known = {*read_variables(EXAMPLE), *re.findall(r'"(CILAKE_\w+)": ', inspect.getsource(env_command))}
        assert [each for each in known if each.startswith(name)], name
    limits = sum(
        int(limit[:-1]) / (1 if limit.endswith("g") else 1024)
        for name, service in SERVICES.items()
        if not one_shot(service) and service.get("profiles", ["s3"]) == ["s3"]
        for limit in [service["mem_limit"]]
    )
    assert f"{limits:.0f} GB in all" in page


def test_scripts_compile():
    for path in (REPO / "deploy/images").glob("*.py"):
        compile(path.read_text(), str(path), "exec")
    shell = shutil.which("sh")
    done = subprocess.run([shell, "-n", REPO / "deploy/postgres/create_databases.sh"], check=False)
    assert done.returncode == 0


def test_a_compose_client_accepts_the_file(tmp_path):
    args = client()
    if args is None:
        pytest.skip("no compose client (version 2.20 or newer) on PATH")
    env = tmp_path / ".env"
    env.write_text(env_command.fill(EXAMPLE, {}, {}))
    profiles = [word for name in ("s3", "lineage", "trino-worker") for word in ("--profile", name)]
    command = [
        *args,
        "--project-directory",
        str(REPO),
        "--env-file",
        str(env),
        "-f",
        str(REPO / "docker-compose.yaml"),
    ]
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("CILAKE_", "COMPOSE_", "SPARK_"))
    }
    for chosen in ([], profiles):
        done = subprocess.run(
            [*command, *chosen, "config", "--format", "json"],
            capture_output=True,
            text=True,
            env=clean,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        services = json.loads(done.stdout)["services"]
    assert set(services) == set(SERVICES)
    assert set(LONG_LIVED) <= set(services)
    secrets = read_variables(env.read_text())
    refused = {**clean, "CILAKE_TRINO_SHARED_SECRET": ""}
    env.write_text("".join(f"{k}={v}\n" for k, v in secrets.items() if k != "CILAKE_TRINO_SHARED_SECRET"))
    done = subprocess.run(
        [*command, "config", "-q"], capture_output=True, text=True, env=refused, check=False
    )
    assert done.returncode != 0
    assert "run make env" in done.stderr
