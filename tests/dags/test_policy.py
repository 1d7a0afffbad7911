from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

import pytest
from tests.airflow_session import DAGS, POOLS, REPO

from cilake.contracts.registry import tables

pytestmark = pytest.mark.airflow

INVENTORY = {
    "ingest_testgrid": ("land_testgrid", ["land", "testgrid"], 1),
    "refine_ci": ("build_core", ["build", "core"], 1),
    "report_ci_health": ("build_kpi", ["build", "kpi"], 2),
    "score_test_failure": ("score", ["score", "test_failure"], 2),
    "measure_predictions": ("measure", ["measure", "test_failure"], 2),
    "train_test_failure": ("train", ["train", "test_failure"], 3),
    "maintain_lake": ("maintain", ["maintain", "lake"], 3),
}
BY_CLOCK = {"ingest_testgrid", "train_test_failure", "maintain_lake"}
UPKEEP = {"maintain_lake"}
"""Makes no table: it keeps all of them."""
ALLOWED = re.compile(r"^(airflow\.sdk|datetime|pendulum|cilake\.contracts(\..+)?|cilake_airflow(\..+)?)$")
FILES = sorted(DAGS.glob("*.py"))


def made_by(dag_id):
    return {address for address, table in tables().items() if table.made_by == dag_id}


def test_the_pools_are_in_the_database(airflow_database):
    from airflow.models.pool import Pool

    wanted = json.loads(POOLS.read_text())
    assert wanted["spark"]["slots"] == 2
    assert {name: Pool.get_pool(name).slots for name in wanted} == {"spark": 2}


def test_every_file_loads(bag):
    assert bag.import_errors == {}


def test_inventory(bag):
    assert set(bag.dags) == set(INVENTORY) == {path.stem for path in FILES}
    for dag_id, (task_id, verb, _) in INVENTORY.items():
        assert [(task.task_id, task.verb) for task in bag.dags[dag_id].tasks] == [(task_id, verb)]


def test_inventory_equals_the_contracts():
    by_hand_or_all = {"every build", "every job", "every rebuild", "every decision"}
    assert {table.made_by for table in tables().values()} - by_hand_or_all == set(INVENTORY) - UPKEEP


@pytest.mark.parametrize("dag_id", INVENTORY)
def test_policy(bag, dag_id):
    dag = bag.dags[dag_id]
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.start_date is None, "with one in the past a run starts the moment the DAG is switched on"
    assert dag.is_paused_upon_creation is (dag_id in BY_CLOCK)
    assert f"tier:{INVENTORY[dag_id][2]}" in dag.tags
    (written,) = (tag.partition(":")[2] for tag in dag.tags if tag.startswith("writes:"))
    assert written in ({address.partition(".")[0] for address in made_by(dag_id)} or {"all"})
    for word in ("**What**", "**Inputs**", "**Outputs**", "**Triage**"):
        assert word in dag.doc_md
    for address in made_by(dag_id):
        assert f"`{address}`" in dag.doc_md, f"{address} is not named among the outputs"
    for task in dag.tasks:
        assert task.owner == "data-platform"
        assert task.retries >= 2
        assert task.retry_exponential_backoff
        assert task.execution_timeout <= timedelta(hours=4)
        assert task.max_active_tis_per_dag == 1, "one writer per table, also beside a backfill"
        assert task.pool in {"default_pool", *json.loads(POOLS.read_text())}, "it would never run"
        assert (task.pool == "spark") is (task.verb[0] != "land")


def test_each_table_is_written_by_exactly_one_task(bag):
    written = Counter(
        outlet.name for dag in bag.dags.values() for task in dag.tasks for outlet in task.outlets
    )
    assert set(written.values()) == {1}
    for dag_id in INVENTORY:
        outlets = {outlet.name for task in bag.dags[dag_id].tasks for outlet in task.outlets}
        assert outlets == made_by(dag_id)


def test_each_asset_read_is_written(bag):
    written = {(o.name, o.uri) for dag in bag.dags.values() for task in dag.tasks for o in task.outlets}
    followed = {}
    for dag_id, dag in bag.dags.items():
        condition = getattr(dag.timetable, "asset_condition", None)
        followed[dag_id] = {(condition.name, condition.uri)} if condition else set()
        assert followed[dag_id] <= written
        assert bool(followed[dag_id]) is (dag_id not in BY_CLOCK)
    for dag_id, read in followed.items():
        for name, uri in read:
            assert uri == f"lake://{name.replace('.', '/')}"
            inputs = {one for address in made_by(dag_id) for one in tables()[address].inputs}
            assert name in inputs, f"{dag_id} waits for {name}, which none of its tables is made from"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_are_thin(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    tree = ast.parse(text)
    for node in ast.walk(tree):
        assert not isinstance(
            node,
            ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.For | ast.While | ast.If | ast.Lambda,
        ), f"line {node.lineno}: a DAG file only wires"
        if isinstance(node, ast.Import):
            assert all(ALLOWED.match(alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert ALLOWED.match(node.module), node.module
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("environ", "getenv", "get")
    made = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "DAG"]
    assert [call.args[0].value for call in made] == [path.stem]


def test_a_broken_file_is_reported(tmp_path, airflow_database):
    from airflow.dag_processing.dagbag import DagBag

    (tmp_path / "broken.py").write_text("from airflow.sdk import DAG\nDAG('x'\n")
    (tmp_path / "missing.py").write_text(
        "from airflow.sdk import DAG\nfrom cilake.contracts.core.nothing import TABLE\n"
    )
    errors = {path.rpartition("/")[2]: error for path, error in DagBag(str(tmp_path)).import_errors.items()}
    assert "SyntaxError" in errors["broken.py"]
    assert "cilake.contracts.core.nothing" in errors["missing.py"]


def test_parsing_is_quick(airflow_database):
    from airflow.dag_processing.dagbag import DagBag

    DagBag(str(DAGS))  # the first one imports Airflow
    started = time.process_time()
    DagBag(str(DAGS))
    assert time.process_time() - started < 3


def test_dag_files_load_neither_spark_nor_the_work(airflow_database):
    code = (
        "import sys\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"assert not DagBag({str(DAGS)!r}).import_errors\n"
        "heavy = {m for m in sys.modules if m in ('pyspark', 'great_expectations', 'sklearn')}\n"
        "ours = {m for m in sys.modules if m.startswith('cilake.')}\n"
        "work = {m for m in ours if not m.startswith('cilake.contracts')}\n"
        "assert not heavy | work, heavy | work\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REPO)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_dag_page_lists_every_dag():
    page = (REPO / "docs" / "dags.md").read_text()
    for dag_id in INVENTORY:
        assert f"`{dag_id}`" in page
        for address in made_by(dag_id):
            assert f"`{address}`" in page
