import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from ciworld.clock import Clock
from ciworld.faults import Faults
from ciworld.server import WorldServer
from ciworld.services.testgrid.synthetic import SyntheticDashboards
from ciworld.world.synthetic import SyntheticWorld
from ciworld.world.universe import EPOCH
from ciworld.worlds import serve_synthetic

RECORDED = (
    Path(__file__).resolve().parents[2].parent / "shared" / "data" / "testgrid-openshift" / "historical"
)


@contextmanager
def serving(world, as_of):
    """A client of a server that serves the world on a free port."""
    server = WorldServer(world, Clock(as_of), Faults(), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with httpx.Client(base_url=server.url, timeout=20) as client:
            yield client
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture(scope="session")
def world():
    return SyntheticWorld(11)


@pytest.fixture(scope="session")
def truth(world):
    return world.truth()


@pytest.fixture(scope="session")
def dashboards(world):
    """The dashboards of the world, as TestGrid shows them."""
    return SyntheticDashboards(world)


@pytest.fixture(scope="session")
def served(world):
    """The world with its services."""
    return serve_synthetic(world)


@pytest.fixture
def client(served):
    with serving(served, EPOCH + timedelta(days=2)) as client:
        yield client


@pytest.fixture
def recorded_root():
    if not RECORDED.is_dir():
        pytest.skip("the shared data folder is absent")
    return RECORDED
