"""The zip for clusters: the jobs start from it alone, with every suite, and it is the same every time."""

import os
import subprocess
import sys

from deploy.local.commands import dist

from cilake.contracts import registry
from cilake.quality import suite


def test_the_work_starts_from_the_zip_alone(tmp_path):
    package, script, *_ = dist.write(tmp_path / "one")
    code = (
        "import cilake; from cilake.quality import suite; "
        "print(cilake.__file__, sum(bool(suite.read(t)) for t in suite.audited_tables().values()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(package)}
    # Without -P the folder of the script or the current one could lend the package.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == [f"{package}/cilake/__init__.py", str(len(suite.audited_tables()))], (
        done.stderr
    )
    done = subprocess.run(
        [sys.executable, str(script), "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert "score" in done.stdout, done.stderr


def test_the_same_files_make_the_same_zip(tmp_path):
    one, two = (dist.write(tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_the_plugins_for_mwaa_hold_what_dag_files_import(tmp_path):
    *_, plugins = dist.write(tmp_path)
    code = (
        "import sys; from cilake.contracts.registry import tables; import cilake_airflow; "
        "assert all('plugins.zip' in m.__file__ for m in (sys.modules['cilake'], cilake_airflow)); "
        "print(len(tables()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(plugins)}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(len(registry.tables())), done.stderr
