"""Recordings of TestGrid: a folder per dashboard with its summary and its tables, as they were served."""

from pathlib import Path

from ciworld.recorded.base import Layout, Recording
from ciworld.recorded.testgrid.folder import RecordedDashboards
from ciworld.services.testgrid.service import TestGrid


def _find(root: Path) -> Recording | None:
    dashboards = RecordedDashboards(root)
    return Recording(TestGrid(dashboards), dashboards.span) if dashboards.dashboards() else None


LAYOUT = Layout("dashboard (folder with summary.json.gz)", _find)
