"""A throw-away Airflow for one test session: its own home, SQLite, our DAGs and plugins.

Importing this module must come before the first import of Airflow, which reads its settings then.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DAGS = REPO / "dags"
POOLS = REPO / "deploy" / "airflow" / "pools.json"
HOME = Path(os.environ.get("CILAKE_TEST_AIRFLOW_HOME") or tempfile.mkdtemp(prefix="cilake-airflow-"))

if "CILAKE_TEST_AIRFLOW_HOME" not in os.environ:
    os.environ["CILAKE_TEST_AIRFLOW_HOME"] = str(HOME)  # one home, however often this file is imported
    atexit.register(shutil.rmtree, HOME, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "CILAKE_BACKEND", "CILAKE_HOME"))]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPO / "plugins"),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "PYTHONPATH": f"{REPO / 'plugins'}{os.pathsep}{REPO / 'jobs'}",
}
for _folder in ("plugins", "jobs"):
    if str(REPO / _folder) not in sys.path:
        sys.path.insert(0, str(REPO / _folder))


@cache
def migrated() -> Path:
    """The home, with its database made and the pools in it."""
    airflow = Path(sys.executable).with_name("airflow")
    if not (HOME / "airflow.db").exists():
        for args in (["db", "migrate"], ["pools", "import", str(POOLS)]):
            done = subprocess.run([airflow, *args], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return HOME
