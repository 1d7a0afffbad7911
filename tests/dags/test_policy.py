from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

import pytest
from tests.support.airflow_session import DAGS, POOLS, REPO

from cilake.contracts.registry import inputs_of, made_by, tables

pytestmark = pytest.mark.airflow

MAINTENANCE = {"maintain_lake"}
"""Makes no table: it keeps all of them."""
BY_HAND_OR_ALL = {"every landing", "every build", "every job", "every rebuild", "every decision"}
MAKERS = {table.made_by for table in tables().values()} - BY_HAND_OR_ALL
MODELS = {maker.removeprefix("score_") for maker in MAKERS if maker.startswith("score_")}
SHARED = {maker for maker in MAKERS if "_" not in maker}
"""Verbs of which each step makes the rows of its model."""
STEPS = sorted(MAKERS - SHARED | {f"{verb}_{model}" for verb in SHARED for model in MODELS} | MAINTENANCE)
VERBS = {"land", "build", "train", "score", "measure", "maintain"}
FILES = sorted(DAGS.glob("*.py"))


def addresses(dag_id):
    return {table.address for table in made_by(dag_id)}


def is_by_clock(dag):
    from airflow.sdk import CronPartitionTimetable

    return isinstance(dag.timetable, CronPartitionTimetable)


def assets_followed(dag):
    """The assets of which any one that is new starts a run."""
    condition = getattr(dag.timetable, "asset_condition", None)
    return condition.objects if condition else []


def test_the_pools_are_in_the_database(airflow_database):
    from airflow.models.pool import Pool

    wanted = json.loads(POOLS.read_text())
    assert wanted["spark"]["slots"] == 2
    assert {name: Pool.get_pool(name).slots for name in wanted} == {"spark": 2}


def test_every_file_loads(bag):
    assert bag.import_errors == {}


def test_the_dags_are_the_steps_that_the_contracts_name(bag):
    assert sorted(bag.dags) == STEPS == [path.stem for path in FILES]
    for dag_id in STEPS:
        verb, _, of = dag_id.partition("_")
        assert verb in VERBS
        assert [(task.task_id, task.verb) for task in bag.dags[dag_id].tasks] == [(dag_id, [verb, of])]


@pytest.mark.parametrize("dag_id", STEPS)
def test_policy(bag, dag_id):
    dag = bag.dags[dag_id]
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.start_date is None, "with one in the past a run starts the moment the DAG is switched on"
    assert dag.is_paused_upon_creation is is_by_clock(dag)
    assert len({"tier:1", "tier:2", "tier:3"} & set(dag.tags)) == 1
    (written,) = (tag.partition(":")[2] for tag in dag.tags if tag.startswith("writes:"))
    assert written in ({address.partition(".")[0] for address in addresses(dag_id)} or {"all"})
    for word in ("**What**", "**Inputs**", "**Outputs**", "**Triage**"):
        assert word in dag.doc_md
    for address in addresses(dag_id):
        assert f"`{address}`" in dag.doc_md, f"{address} is not named among the outputs"
    for task in dag.tasks:
        assert task.owner == "data-platform"
        assert task.retries >= 2
        assert task.retry_exponential_backoff
        assert task.execution_timeout <= timedelta(hours=4)
        assert task.max_active_tis_per_dag == 1, "one writer per table, also during a backfill"
        assert task.pool in {"default_pool", *json.loads(POOLS.read_text())}, "it would never run"
        assert (task.pool == "spark") is (task.verb[0] != "land")


def test_each_table_is_written_by_exactly_one_task(bag):
    written = Counter(
        outlet.name for dag in bag.dags.values() for task in dag.tasks for outlet in task.outlets
    )
    for address, times in written.items():
        assert times == (len(MODELS) if tables()[address].made_by in SHARED else 1), address
    for dag_id in STEPS:
        outlets = {outlet.name for task in bag.dags[dag_id].tasks for outlet in task.outlets}
        assert outlets == addresses(dag_id)


def test_each_asset_read_is_written(bag):
    written = {(o.name, o.uri) for dag in bag.dags.values() for task in dag.tasks for o in task.outlets}
    followed = {}
    for dag_id, dag in bag.dags.items():
        followed[dag_id] = {(asset.name, asset.uri) for asset in assets_followed(dag)}
        assert followed[dag_id] <= written
        assert bool(followed[dag_id]) is not is_by_clock(dag)
    for dag_id, read in followed.items():
        for name, uri in read:
            assert uri == f"lake://{name.replace('.', '/')}"
            inputs = {one for address in addresses(dag_id) for one in inputs_of(tables()[address])}
            assert name in inputs, f"{dag_id} waits for {name}, which none of its tables is made from"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_only_say_what_the_step_is_and_when_it_runs(path):
    doc, import_, call = ast.parse(path.read_text()).body
    assert isinstance(doc, ast.Expr)
    assert (import_.module, import_.level) == ("cilake_airflow.dag_kit", 0)
    assert (call.value.func.id, call.value.args[0].value) == ("job_dag", path.stem)


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
        "plain = tuple(f'cilake.{name}' for name in ('contracts', 'errors', 'variables', 'windows'))\n"
        "work = {m for m in ours if not m.startswith(plain)}\n"
        "assert not heavy | work, heavy | work\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REPO)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_dag_page_says_when_each_runs(bag):
    page = (REPO / "docs" / "dags.md").read_text()
    for dag_id, dag in bag.dags.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| [`{dag_id}`]")]
        if is_by_clock(dag):
            minute, hour, *_, weekday = dag.timetable.expression.split()
            assert f"{int(hour):02}:{int(minute):02} UTC" in line
            assert ("Monday" in line) is (weekday == "1")
        for asset in assets_followed(dag):
            assert f"`{asset.name}`" in line
