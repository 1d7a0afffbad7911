from __future__ import annotations

import importlib.util
import json
import os
import stat
import sys
from pathlib import Path

import pytest
import tests.support.airflow_session  # noqa: F401  (before Airflow is imported)

if importlib.util.find_spec("airflow") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import airflow.settings  # noqa: F401  (sets up logging: in a test it would undo caplog)

_FAKE = """#!{python}
import json, os, subprocess, sys, time
verb, record = sys.argv[1], os.environ["CILAKE_FAKE_RECORD"]
child = subprocess.Popen(["sleep", "300"]) if verb == "hang" else None
with open(record + ".part", "w") as handle:
    pids = [os.getpid(), child.pid] if child else [os.getpid()]
    json.dump({{"argv": sys.argv[1:], "pids": pids, "environ": dict(os.environ)}}, handle)
os.rename(record + ".part", record)
print("reading 3 tables", file=sys.stderr, flush=True)
if verb == "hang":
    time.sleep(300)
if verb == "refuse":
    print("cilake: 2026-03-09 has not begun", file=sys.stderr)
    sys.exit(2)
if verb == "crash":
    raise IndexError("a fault of the program")
if verb == "fail":
    print("cilake: the table is gone", file=sys.stderr)
    sys.exit(3)
print("chatter")
print("not json" if verb == "mute" else json.dumps({{"rows": 7}}))
"""


class FakeWork:
    """A `cilake` that notes how it was called."""

    def __init__(self, folder):
        self.bin = folder / "cilake"
        self.bin.write_text(_FAKE.format(python=sys.executable))
        self.bin.chmod(self.bin.stat().st_mode | stat.S_IXUSR)
        self.record = folder / "record.json"

    def called(self):
        return json.loads(self.record.read_text())


@pytest.fixture
def work(tmp_path, monkeypatch):
    fake = FakeWork(tmp_path)
    monkeypatch.setenv("CILAKE_JOBS_BIN", str(fake.bin))
    monkeypatch.setenv("CILAKE_FAKE_RECORD", str(fake.record))
    return fake


def ended(pid):
    """Whether a process is gone or only waits to be reaped."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True
