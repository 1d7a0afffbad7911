"""Every pool that a DAG waits in is made wherever DAGs run: a task of a missing pool is never scheduled."""

from __future__ import annotations

import ast
import json
import subprocess

import pytest
from deploy.local import layout
from deploy.local.layout import REPO, current
from deploy.local.services import airflow
from tests.deploy.compose_file import DOCKERFILE, SERVICES

from cilake.render.aws import mwaa, write
from cilake.render.aws.deployment import AwsDeployment

POOLS = json.loads((REPO / "deploy/airflow/pools.json").read_text())
DEPLOYMENT = AwsDeployment("123456789012", "eu-central-1", "team-lake")
AIRFLOW = current().bin("airflow", "python")


def pools_of_dags():
    """The pools that the DAG files and what they share name, but Airflow's own."""
    tree = ast.parse((REPO / "plugins/cilake_airflow/dag_kit.py").read_text())
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    named = {constants["SPARK_POOL"]}
    for path in (REPO / "dags").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "pool":
                value = node.value
                named.add(value.value if isinstance(value, ast.Constant) else constants[value.id])
    return named - {"default_pool"}


def test_the_file_has_every_pool_of_the_dags():
    assert pools_of_dags() == set(POOLS) == {"spark"}


def test_the_embedded_stack_imports_the_file():
    assert airflow.POOLS == REPO / "deploy/airflow/pools.json"
    assert layout.REPO == REPO


def test_aws_renders_the_request_that_makes_each():
    rendered = write.files(DEPLOYMENT)
    made = {name: json.loads(text) for name, text in rendered.items() if name.startswith("mwaa/pool-")}
    assert {request["Body"]["name"] for request in made.values()} == set(POOLS)
    for name, request in made.items():
        body = request["Body"]
        assert (request["Name"], request["Method"], request["Path"]) == (DEPLOYMENT.name, "POST", "/pools")
        assert POOLS[body.pop("name")] == body, f"{name} differs from deploy/airflow/pools.json"
        assert name in (REPO / "docs/deploy-aws.md").read_text()
    assert set(mwaa.POOLS) == set(POOLS)


def test_the_image_holds_the_file_and_the_one_shot_reads_it():
    stage = DOCKERFILE[DOCKERFILE.index(" AS jobs\n") : DOCKERFILE.index(" AS airflow\n")]
    assert "COPY deploy deploy" in stage and "FROM jobs AS airflow" in DOCKERFILE
    assert SERVICES["prepare-airflow"]["command"] == ["python", "-m", "deploy.images.prepare_airflow"]


STORY = """
import json, os
from airflow.models.pool import Pool
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from deploy.images import prepare_airflow
from werkzeug.security import check_password_hash

prepare_airflow.main()
with get_application_builder() as builder:
    builder.sm.reset_password(builder.sm.find_user("admin").id, "own")
first = {pool.pool: pool.slots for pool in Pool.get_pools()}
Pool.create_or_update_pool("spark", 5, "more", False)
os.environ["CILAKE_AIRFLOW_PASSWORD"] = "second"
prepare_airflow.main()
with get_application_builder() as builder:
    users = {
        user.username: [
            [role.name for role in user.roles],
            [word for word in WORDS if check_password_hash(user.password, word)],
        ]
        for user in builder.sm.get_all_users()
    }
pools = {pool.pool: pool.slots for pool in Pool.get_pools()}
print(json.dumps([first, pools, users]))
"""


@pytest.mark.skipif(not AIRFLOW.exists(), reason="no environment of Airflow: make setup makes one")
def test_the_containers_get_pools_and_users_once_and_keep_changed_passwords(tmp_path):
    settings = SERVICES["prepare-airflow"]["environment"]
    environment = {
        "PATH": f"{AIRFLOW.parent}:/usr/bin:/bin",
        "PYTHONPATH": str(REPO),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": settings["AIRFLOW__CORE__AUTH_MANAGER"],
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "CILAKE_AIRFLOW_PASSWORD": "first",
        "CILAKE_AIRFLOW_VIEWER_PASSWORD": "look",
    }
    story = STORY.replace("WORDS", repr(["first", "second", "own", "look"]))
    done = subprocess.run(
        [AIRFLOW, "-c", story], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("users made: admin, viewer") == done.stdout.count("users made: none") == 1
    first, pools, users = json.loads(done.stdout.splitlines()[-1])
    assert pools["spark"] == 5, "what people changed stays"
    assert {name: slots for name, slots in first.items() if name != "default_pool"} == {
        name: pool["slots"] for name, pool in POOLS.items()
    }
    assert users == {"admin": [["Admin"], ["own"]], "viewer": [["Viewer"], ["look"]]}
