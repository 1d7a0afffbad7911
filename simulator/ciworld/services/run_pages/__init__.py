"""Pages of runs and of jobs, to which the links of the other services lead, as those of a real CI lead."""

from ciworld.services.base import Page, Request
from ciworld.services.run_pages.pages import page_at
from ciworld.world.synthetic import SyntheticWorld
from ciworld.world.universe import EPOCH


class RunPages:
    """The service: `/view/gs/<bucket>/<job>/<build id>` and `/job-history/gs/<bucket>/<job>`."""

    is_for_people = True

    def __init__(self, world: SyntheticWorld):
        self._world = world

    def respond(self, request: Request) -> Page | None:
        """Return the page of a run or of a job at the simulated time, or None elsewhere."""
        return page_at(self._world, request.path, request.as_of or EPOCH)


def make_service(world: SyntheticWorld) -> RunPages:
    """Return the pages of a synthetic world."""
    return RunPages(world)
