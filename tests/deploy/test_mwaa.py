"""The DAGs and the plugin on the older Airflow of MWAA."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest
from deploy.local import bundle

REPO = Path(__file__).resolve().parents[2]
DAGS = sorted((REPO / "dags").glob("*.py"))
PLUGIN = sorted((REPO / "plugins").rglob("*.py"))
PYTHON_32 = os.environ.get("CILAKE_AIRFLOW_32_PYTHON")

# What we import from Airflow and its providers, looked up in an installation of 3.2.2; the Spark provider
# is only needed, and imported, by the back end that MWAA does not use.
KNOWN_IN_32 = {
    "airflow.api_fastapi.auth.managers.models.resource_details": {"AccessView"},
    "airflow.api_fastapi.core_api.security": {"requires_access_view"},
    "airflow.configuration": {"conf"},
    "airflow.providers.amazon.aws.links.emr": {"EmrServerlessS3LogsLink"},
    "airflow.plugins_manager": {"AirflowPlugin"},
    "airflow.providers.amazon.aws.hooks.emr": {"EmrServerlessHook"},
    "airflow.providers.amazon.aws.utils.waiter_with_logging": {"wait"},
    "airflow.providers.apache.spark.hooks.spark_submit": {"SparkSubmitHook"},
    "airflow.sdk": {
        "Asset",
        "BaseOperator",
        "BaseOperatorLink",
        "Connection",
        "Context",
        "CronPartitionTimetable",
        "DAG",
        "Param",
        "PartitionedAssetTimetable",
    },
    "airflow.sdk.exceptions": {"AirflowException", "AirflowFailException"},
    "airflow.sdk.log": {"mask_secret"},
    "airflow.sdk.types": {"TaskInstanceKey"},
}

PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow import plugins_manager
bag = DagBag(sys.argv[1])
print(json.dumps([sorted(bag.dags), bag.import_errors]))
"""


@pytest.mark.parametrize("path", DAGS + PLUGIN, ids=lambda path: path.stem)
def test_every_name_imported_from_airflow_is_there(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.partition(".")[0] == "airflow"]
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "airflow":
            assert {alias.name for alias in node.names} <= KNOWN_IN_32.get(node.module, set()), node.module


@pytest.mark.skipif(not PYTHON_32, reason="CILAKE_AIRFLOW_32_PYTHON names no Python with Airflow 3.2")
def test_the_dags_parse_with_the_plugins_of_mwaa(tmp_path):
    *_, plugins = bundle.write(tmp_path / "dist")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CILAKE"))
    }
    environment |= {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "PYTHONPATH": str(plugins),
    }
    migrated = subprocess.run(
        [Path(PYTHON_32).with_name("airflow"), "db", "migrate"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert migrated.returncode == 0, migrated.stderr
    done = subprocess.run(
        [PYTHON_32, "-c", PARSE, str(REPO / "dags")],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == [[path.stem for path in DAGS], {}]
