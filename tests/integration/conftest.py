"""One stack for all integration tests, on free ports and gone at the end."""

import pytest
from tests.integration.recorded_nights import NIGHTS, Lake, LateDashboards, end_of
from tests.simulator.conftest import serving
from tests.support.browser import chromium
from tests.support.temporary_stack import temporary_stack

from ciworld.services.base import ServedWorld
from ciworld.services.testgrid.service import TestGrid


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """A stack with Spark and Trino, and with Superset where a browser can look at it."""
    services = ["spark", "trino", *(["superset"] if chromium() else [])]
    with temporary_stack(tmp_path_factory.mktemp("stack") / "home", *services) as stack:
        yield stack


@pytest.fixture(scope="session")
def lake(stack, tmp_path_factory):
    """The work on the stack against a simulator that replays two jobs in two dashboards."""
    late = TestGrid(LateDashboards(tmp_path_factory.mktemp("recorded")))
    world = ServedWorld((late,), {}, lambda: None, lambda: None)
    with serving(world, end_of(NIGHTS[0])) as client:
        yield Lake(stack, client, tmp_path_factory.mktemp("commands"))


@pytest.fixture(scope="session")
def played(lake):
    """The lake after two nights, with what each counted."""
    return lake, [lake.play(day) for day in NIGHTS]
