"""The links under our tasks, as the API server makes them from the stored DAG."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from tests.support.airflow_session import DAGS, REPO

pytestmark = pytest.mark.airflow

TASKS = ("build_core_ci", "score_test_failure", "land_testgrid")
NAMES = {"Data docs", "Run log", "Superset dashboard", "Table page"}


@pytest.fixture(scope="module")
def tasks():
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization
    from tests.support.airflow_session import migrated

    migrated()
    dags = DagBag(str(DAGS)).dags
    with pytest.MonkeyPatch.context() as patch:
        # As the API server reads DAGs; a run in this process leaves what the scheduler wants: no links.
        patch.setattr(DagSerialization, "_load_operator_extra_links", True)
        stored = {name: DagSerialization.from_dict(DagSerialization.to_dict(dags[name])) for name in TASKS}
    return {dag_id: dag.get_task(dag_id) for dag_id, dag in stored.items()}


def address(task, name):
    return task.get_extra_links(SimpleNamespace(key=None), name)


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/ci/")
    monkeypatch.setenv("CILAKE_SUPERSET_URL", "https://superset.example/")
    monkeypatch.setenv("CILAKE_DATA_DOCS", "/somewhere/data-docs")
    return monkeypatch


def test_every_task_has_all_links(tasks):
    for task in tasks.values():
        assert set(task.extra_links) == NAMES


def test_one_table_leads_to_its_pages(tasks, settings):
    task = tasks["score_test_failure"]
    base = "https://airflow.example/ci/cilake"
    assert address(task, "Data docs") == f"{base}/data-docs/predictions.test_failure.html"
    assert address(task, "Table page") == f"{base}/tables/predictions/test_failure.md"
    assert address(task, "Superset dashboard") == "https://superset.example/superset/dashboard/predictions/"


def test_several_tables_lead_to_the_lists(tasks, settings):
    task = tasks["build_core_ci"]
    assert address(task, "Data docs").endswith("/cilake/data-docs/index.html")
    assert address(task, "Table page").endswith("/cilake/tables/README.md")
    assert address(task, "Superset dashboard").endswith("/superset/dashboard/ci-health/")


def test_data_docs_may_be_elsewhere(tasks, settings):
    settings.setenv("CILAKE_DATA_DOCS", "https://docs.example/lake")
    assert address(tasks["build_core_ci"], "Data docs") == "https://docs.example/lake/index.html"


@pytest.mark.parametrize("wrong", [{}, {"CILAKE_BACKEND": "yarn", "CILAKE_DATA_DOCS": "/x"}])
def test_absent_or_wrong_settings_give_no_link(tasks, monkeypatch, wrong):
    for name in ("CILAKE_DATA_DOCS", "CILAKE_SUPERSET_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    for name in ("Data docs", "Superset dashboard"):
        assert address(tasks["build_core_ci"], name) == ""


def test_every_table_is_shown_on_a_dashboard_that_exists():
    from cilake.contracts.registry import tables

    pages = (REPO / "dashboards" / "dashboards").glob("*.yaml")
    slugs = {re.search(r"^slug: (\S+)$", page.read_text(), re.MULTILINE).group(1) for page in pages}
    assert {table.shown_on for table in tables().values()} == slugs - {"start"}, (
        "the start page shows no table"
    )


def test_the_run_log_is_the_page_of_the_try(settings):
    from cilake_airflow.operators.job_operator import CilakeJobOperator

    task = CilakeJobOperator(task_id="t", verb=["build", "core_ci"])
    (link,) = task.operator_extra_links
    key = SimpleNamespace(dag_id="d", run_id="manual__2026-03-01T00:00:00+00:00", task_id="t", try_number=2)
    wanted = "https://airflow.example/ci/dags/d/runs/manual__2026-03-01T00%3A00%3A00%2B00%3A00/tasks/t"
    assert link.get_link(task, ti_key=key) == f"{wanted}?try_number=2"
    task._run = SimpleNamespace(log_address="https://cluster.example/log")
    assert link.get_link(task, ti_key=key) == "https://cluster.example/log"


def test_the_plugin_is_whole(tasks):
    from airflow import plugins_manager

    (plugin,) = [one for one in plugins_manager._get_plugins()[0] if one.name == "cilake"]
    (pages,) = plugin.fastapi_apps
    assert pages["url_prefix"] == "/cilake"
    entries = {view["name"]: view["href"] for view in plugin.external_views}
    assert entries == {"Data docs": "/cilake/data-docs/index.html", "Tables": "/cilake/tables/README.md"}
    assert plugins_manager._get_plugins()[1] == {}
