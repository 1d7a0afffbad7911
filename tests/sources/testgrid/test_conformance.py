"""TestGrid is a source like every other."""

from tests.conformance.sources import SourceConformance
from tests.support.landing_service import serve

from cilake.sources.testgrid.settings import TestGridSettings as OwnSettings


class TestTestGrid(SourceConformance):
    name = "testgrid"

    def settings(self, url):
        return OwnSettings(url=url, dashboards="board")

    def serve(self, replies):
        serve(replies, "board", ["one", "two"])
