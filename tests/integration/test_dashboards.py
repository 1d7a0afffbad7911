"""The dashboards in a browser: every chart shows data, a filter changes it, the files are what is shown.

Pictures of what was seen are in ``.local/pictures``.
"""

import os
from pathlib import Path

import httpx
import pytest
import yaml
from deploy.local import superset as superset_stack
from deploy.local.browser import Superset, chromium, open_page
from deploy.local.layout import REPO, Layout

PICTURES = REPO / ".local" / "pictures"
SLUGS = ["ci-health", "flaky-and-failing-tests", "platform-health", "predictions"]
# Nothing may be wrong: then these charts have nothing to show.
MAY_BE_EMPTY = {"Failed checks", "Incomplete landings", "Newest failed runs", "Model versions"}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def superset(played):
    lake, _ = played
    with open_page() as page:
        yield Superset(page, lake.stack.settings)


def test_every_dashboard_of_the_files_is_there(superset):
    files = (superset_stack.DASHBOARDS / "dashboards").glob("*.yaml")
    slugs = sorted(yaml.safe_load(path.read_text())["slug"] for path in files)
    assert superset.dashboards() == slugs == SLUGS


def test_the_report_of_the_login_page_cannot_undo_a_login(superset):
    """It may be answered after the login: a cookie with it would replace the one of the login."""
    with httpx.Client(base_url=superset.url) as visitor:
        assert visitor.get("/login/").status_code == 200
        answer = visitor.post("/superset/log/", params={"explode": "events"}, data={"events": "[]"})
    assert (answer.status_code, answer.headers.get("set-cookie")) == (204, None)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_chart_shows_data_without_an_error(superset, slug):
    with superset.dashboard(slug) as dashboard:
        dashboard.photograph(PICTURES / f"{slug}.png")
        assert set(dashboard.answers) == set(dashboard.titles.values()), "a chart was not asked for its data"
        assert {title: a.errors for title, a in dashboard.answers.items() if a.errors} == {}
        assert {answer.status for answer in dashboard.answers.values()} == {200}
        empty = {title for title, answer in dashboard.answers.items() if answer.row_count == 0}
        assert empty <= MAY_BE_EMPTY
        drawn, canvases = dashboard.drawn_canvases()
        assert drawn == canvases > 3


def test_a_filter_changes_what_the_charts_show(superset):
    with superset.dashboard("ci-health") as dashboard:
        of_all = _runs(dashboard)
        dashboard.choose("Job", "e2e-aws-4.8")
        assert 0 < _runs(dashboard) == of_all / 2, "two jobs ran equally often"


def _runs(dashboard):
    rows = dashboard.answers["Verdicts of runs"].body["result"][0]["data"]
    return sum(row["runs"] for row in rows)


def test_export_after_looking_changes_no_file_and_import_overwrites(superset, played, tmp_path):
    """Superset notes things in the dashboards that were opened before: those are nobody's changes."""
    lake, _ = played
    layout = Layout(lake.stack.home, Path(os.environ["CILAKE_ENV_HOME"]))
    superset_stack.export_dashboards(layout, lake.stack.settings, tmp_path)
    written = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.yaml")}
    folder = superset_stack.DASHBOARDS
    known = {path.relative_to(folder): path.read_text() for path in folder.rglob("*.yaml")}
    assert written == {path: text for path, text in known.items() if path.name != "metadata.yaml"}

    charts = superset.get("chart/?q=(page_size:100)")["result"]
    chart = next(row for row in charts if row["slice_name"] == "Runs")
    headers = {"X-CSRFToken": superset.get("security/csrf_token/")["result"], "Referer": superset.url}
    url = f"{superset.url}/api/v1/chart/{chart['id']}"
    changed = superset.page.request.put(url, data={"slice_name": "Changed by hand"}, headers=headers)
    assert changed.status == 200, changed.text()
    superset_stack.forget(layout)
    superset_stack.import_dashboards(layout, lake.stack.settings)
    assert superset.get(f"chart/{chart['id']}")["result"]["slice_name"] == "Runs"
