import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from ciworld.clock import Clock
from ciworld.faults import Faults
from ciworld.server import WorldServer
from ciworld.world import EPOCH, SyntheticWorld

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


@pytest.fixture
def client(world):
    with serving(world, EPOCH + timedelta(days=2)) as client:
        yield client


@pytest.fixture
def recorded_root():
    if not RECORDED.is_dir():
        pytest.skip("the shared data folder is absent")
    return RECORDED
