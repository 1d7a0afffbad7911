"""A night on a standalone cluster of two workers makes the tables of one process, whatever is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest
from deploy.local import processes
from deploy.local.layout import Layout
from tests.integration.recorded_nights import CHAIN, NIGHTS, LateDashboards, end_of
from tests.simulator.conftest import serving
from tests.support.temporary_stack import temporary_stack

from cilake.contracts.registry import made_by
from cilake.lake.catalog import open_catalog
from cilake.settings import read_settings
from ciworld.services.base import ServedWorld
from ciworld.services.testgrid.service import TestGrid

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

DAY = NIGHTS[-1]
STEPS = CHAIN if os.environ.get("CILAKE_SOAK") else CHAIN[:3]
"""Landing and builds; in a soak the whole night."""
ALL_IN_SPARK = """
import sys
from cilake.build import core, inputs
from cilake.publish import few

core.FEW_BYTES = inputs.QUERIED_ROWS = few.FEW_ROWS = 0

from cilake.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""
"""The command line, with nothing done in its own process that Spark could do."""
MADE = [table for verb, of in STEPS[1:] for table in made_by(f"{verb}_{of}")]
ABOUT_THE_MAKING = ("scored_at", "measured_at", "feature_snapshot_id", "runs_snapshot_id")


class ClusterLake:
    """A lake on which the same night is played in several ways."""

    def __init__(self, stack, url, folder):
        self.stack, self.folder = stack, folder
        self.script = folder / "all_in_spark.py"
        self.script.write_text(ALL_IN_SPARK)
        self.environment = {**os.environ, **stack.settings, "CILAKE_TESTGRID_URL": url}
        self.environment["CILAKE_TESTGRID_DASHBOARDS"] = "*"
        self.layout = Layout(stack.home, stack.home)

    def begin(self, spark):
        """Start Spark in one of its kinds; leave the lake without tables."""
        done = self.stack("up", "--only", "spark", CILAKE_SPARK=spark)
        assert done.returncode == 0, done.stderr
        self.empty()

    def empty(self):
        catalog = open_catalog(read_settings(self.environment))
        for namespace in catalog.list_namespaces():
            for identifier in catalog.list_tables(namespace):
                catalog.drop_table(identifier)
        self.run([sys.executable, str(self.script), "bootstrap"])

    def run(self, command, **variables):
        done = subprocess.run(
            command,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        lines = [line for line in done.stderr.splitlines() if " INFO " not in line]
        assert done.returncode == 0, (command, "\n".join(lines)[-4000:])

    def play(self, *before, **variables):
        """Play the night; a job of Spark begins with the words ``before``."""
        for verb, address in STEPS:
            words = [] if verb == "land" else list(before)
            start = [*(words or [sys.executable]), str(self.script)]
            self.run([*start, verb, address, "--start", DAY.isoformat()], **variables)
        return self.contents()

    def contents(self):
        """What the tables say, but for when and from which snapshots it was made."""
        catalog = open_catalog(read_settings(self.environment))
        found = {}
        for table in MADE:
            names = [name for name in table.column_names if name not in ABOUT_THE_MAKING]
            rows = catalog.load_table(table.address).scan(selected_fields=names).to_arrow().select(names)
            found[table.address] = sorted(map(repr, zip(*rows.to_pydict().values(), strict=True)))
        return found

    def executors(self):
        """The processes in which the cluster's tasks run."""
        return [
            pid
            for pid in processes.ours(self.layout)
            if b"CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]


@pytest.fixture(scope="module")
def cluster_lake(tmp_path_factory):
    late = TestGrid(LateDashboards(tmp_path_factory.mktemp("recorded")))
    world = ServedWorld((late,), {}, lambda: None, lambda: None)
    home = tmp_path_factory.mktemp("cluster") / "home"
    with serving(world, end_of(DAY)) as client, temporary_stack(home, "s3", "postgres") as stack:
        yield ClusterLake(stack, str(client.base_url), tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def embedded(cluster_lake):
    """The tables of the night as one process of Spark makes them."""
    cluster_lake.begin("local")
    return cluster_lake.play()


def test_by_connect_while_executors_are_killed(cluster_lake, embedded):
    assert all(embedded[table.address] for table in MADE if table.namespace == "core")
    cluster_lake.begin("cluster")
    done, killed = Event(), []

    def kill_some():
        while not done.wait(1) and len(killed) < 3:
            for pid in cluster_lake.executors()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                done.wait(10)  # another one takes its place

    killer = Thread(target=kill_some)
    killer.start()
    try:
        found = cluster_lake.play()
    finally:
        done.set()
        killer.join()
    assert killed
    assert found == embedded


def test_by_spark_submit(cluster_lake, embedded):
    assert cluster_lake.stack("down").returncode == 0
    done = cluster_lake.stack(
        "up", "--only", "postgres,s3,spark-worker-1,spark-worker-2", CILAKE_SPARK="cluster"
    )
    assert done.returncode == 0, done.stderr
    cluster_lake.empty()
    submit = Path(sys.executable).with_name("spark-submit")
    properties = cluster_lake.layout.run / "spark" / "submit.properties"
    found = cluster_lake.play(str(submit), "--properties-file", str(properties), CILAKE_SPARK_REMOTE="")
    assert found == embedded
