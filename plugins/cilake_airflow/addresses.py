"""Where a browser finds Airflow and, below it, our own pages."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from airflow.configuration import conf

PREFIX = "/cilake"
DATA_DOCS = f"{PREFIX}/data-docs"
TABLES = f"{PREFIX}/tables"
DATA_DOCS_INDEX = "index.html"
TABLES_INDEX = "README.md"


def airflow_address(path: str) -> str:
    """Return the full address of a path of this Airflow; the path alone without ``[api] base_url``."""
    return conf.get("api", "base_url", fallback="").rstrip("/") + path


def airflow_path(path: str) -> str:
    """Return the path as this Airflow's own pages name it: behind a proxy it may be below a folder."""
    return urlsplit(airflow_address(path)).path


def run_page(dag_id: str, run_id: str) -> str:
    """Return the full address of the page of a run."""
    return airflow_address(f"/dags/{quote(dag_id)}/runs/{quote(run_id)}")
