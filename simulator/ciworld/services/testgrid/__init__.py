"""TestGrid, the dashboards of Kubernetes and OpenShift: listing, summaries and tables in its legacy JSON."""

from ciworld.services.testgrid.service import TestGrid
from ciworld.services.testgrid.synthetic import SyntheticDashboards
from ciworld.world.synthetic import SyntheticWorld


def make_service(world: SyntheticWorld) -> TestGrid:
    """Return the TestGrid of a synthetic world."""
    return TestGrid(SyntheticDashboards(world))
