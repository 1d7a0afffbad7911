"""The environments hold the packages, wherever a program of theirs is started."""

import os
import subprocess
import sys


def test_a_folder_that_has_the_name_of_the_package_does_not_hide_it(tmp_path):
    """So the folder that holds the clone has one."""
    (tmp_path / "cilake").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "import cilake; print(cilake.__file__)"]
    found = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert found.stdout.endswith("jobs/cilake/__init__.py\n")
