from __future__ import annotations

import importlib.util

import pytest
from tests.support.airflow_session import DAGS, migrated

if importlib.util.find_spec("airflow") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def airflow_database():
    return migrated()


@pytest.fixture(scope="session")
def bag(airflow_database):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS))
