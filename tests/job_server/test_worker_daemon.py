"""The daemon of Spark's Python workers has their libraries, and none of our code, which may change."""

import subprocess
import sys

PROGRAM = """
import sys
from cilake.job_server.worker_daemon import import_libraries
import_libraries()
print(*sorted(name for name in ("cilake.sources", "pyarrow", "sklearn") if name in sys.modules))
"""

BROKEN = """
import sys
from cilake.job_server import worker_daemon
def load(name):
    print("an import that prints")
    raise ImportError(f"{name} is broken")
worker_daemon.source = load
worker_daemon.import_libraries()
print("sklearn" in sys.modules)
"""


def test_workers_find_libraries_imported_and_our_code_as_it_is_now():
    found = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["pyarrow", "sklearn"]


def test_a_source_that_cannot_be_imported_stops_no_worker():
    found = subprocess.run([sys.executable, "-c", BROKEN], check=True, capture_output=True, text=True)
    assert found.stdout == "True\n"
    assert "testgrid is broken" in found.stderr
    assert "an import that prints" in found.stderr
