"""The DAGs and the plugin on the older Airflow of MWAA, installed from requirements/mwaa.txt."""

from __future__ import annotations

import ast
import json
import os
import subprocess

import pytest
from deploy.local.commands import dist
from deploy.local.layout import REPO, current

from cilake.render.aws.mwaa import AIRFLOW_VERSION

DAGS = sorted((REPO / "dags").glob("*.py"))
PLUGIN = sorted((REPO / "plugins").rglob("*.py"))
PYTHON = current().bin("mwaa", "python")
# Imported inside functions: by the back end for a cluster of one's own, as MWAA's is another, and by the
# retry policy, which an older Airflow never calls.
NOT_ON_MWAA = ("airflow.providers.apache.spark.hooks.spark_submit", "airflow.sdk.definitions.retry_policy")

PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps([sorted(bag.dags), bag.import_errors]))
"""
LOOK_UP = """
import importlib, json, sys
asked = json.loads(sys.argv[1])
print(json.dumps([[m, n] for m, n in asked if not hasattr(importlib.import_module(m), n)]))
"""

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no environment with the Airflow of MWAA: make test makes one"
)


@pytest.fixture(scope="module")
def mwaa(tmp_path_factory):
    """A function: what a script prints last, as JSON, on MWAA's Airflow with our ``plugins.zip``."""
    folder = tmp_path_factory.mktemp("mwaa")
    *_, plugins = dist.write(folder / "dist")
    ours = ("AIRFLOW", "CILAKE", "PYTHON", "JAVA")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "PYTHONPATH": str(plugins),
    }

    def run(*args):
        done = subprocess.run(args, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(PYTHON.with_name("airflow"), "db", "migrate")
    return lambda script, argument="": json.loads(run(PYTHON, "-c", script, argument).splitlines()[-1])


def imported_from_airflow():
    """Every module and name that our files import from Airflow and its providers."""
    for path in DAGS + PLUGIN:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not [alias.name for alias in node.names if alias.name.partition(".")[0] == "airflow"]
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "airflow":
                yield from ((node.module, alias.name) for alias in node.names)


def test_the_environment_has_the_version_that_is_rendered(mwaa):
    version = mwaa("import airflow, json; print(json.dumps(airflow.__version__))")
    assert version.startswith(f"{AIRFLOW_VERSION}.")


def test_every_name_imported_from_airflow_is_there(mwaa):
    asked = sorted({pair for pair in imported_from_airflow() if pair[0] not in NOT_ON_MWAA})
    assert len(asked) >= 15
    assert mwaa(LOOK_UP, json.dumps(asked)) == []


def test_the_dags_parse_with_the_plugins_of_mwaa(mwaa):
    assert mwaa(PARSE, str(REPO / "dags")) == [[path.stem for path in DAGS], {}]
