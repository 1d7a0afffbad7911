"""A headless Chromium at the pages of a stack, for tests, measurements and the pictures in the documentation.

Runs in the jobs environment (Playwright) with the Chromium of the machine.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from deploy.local.errors import StackError
from playwright.sync_api import (
    APIResponse,
    Browser,
    Error,
    FrameLocator,
    Locator,
    Page,
    Response,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as NotInTimeError

WIDTH, HEIGHT = 1500, 1000
_TALLEST = 9000
_TIMEOUT_MS = 240_000
_LOOK_MS = 250
_IS_DRAWN = """canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  for (let i = 4; i < pixels.length; i += 4)
    if (pixels[i] !== pixels[0] || pixels[i + 1] !== pixels[1] || pixels[i + 3] !== pixels[3]) return true;
  return false;
}"""

_SHOWN = """() => [...document.querySelectorAll('[data-test-chart-name]')]
  .filter(chart => chart.querySelector('.chart-container, [data-test="chart-container"]'))
  .map(chart => chart.dataset.testChartName)"""
_LOADING = """() => [...document.querySelectorAll('[data-test=loading-indicator]')].map(mark =>
  mark.closest('[data-test-chart-name]')?.dataset.testChartName ?? mark.parentElement.className)"""


def chromium() -> str | None:
    """Return the path of the machine's Chromium; nothing where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


_BOTTOM = """() => Math.max(...[...document.querySelectorAll('.dashboard-component-chart-holder')]
  .map(holder => holder.getBoundingClientRect().bottom))"""


@contextmanager
def open_page() -> Iterator[Page]:
    """Yield a page of a fresh browser without history."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield _new_page(browser)
        finally:
            browser.close()


@contextmanager
def open_other_page(page: Page) -> Iterator[Page]:
    """Yield a page of the same browser for another person: without the first one's logins."""
    if page.context.browser is None:
        raise StackError("this page belongs to no browser: open it with open_page")
    other = _new_page(page.context.browser)
    try:
        yield other
    finally:
        other.close()


def _new_page(browser: Browser) -> Page:
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(_TIMEOUT_MS)
    return page


@dataclass
class Answer:
    """The response of Superset for one chart: the request, and the result."""

    question: str
    status: int
    body: dict[str, Any]

    @property
    def row_count(self) -> int:
        """The rows of the chart's data, all its queries together."""
        return sum(result.get("rowcount") or 0 for result in self.body.get("result", []))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the chart's first query."""
        found: list[dict[str, Any]] = self.body["result"][0]["data"]
        return found

    @property
    def filtered_by(self) -> set[str]:
        """The columns by which Superset says that it filtered."""
        applied = self.body["result"][0]["applied_filters"]
        return {entry["column"] for entry in applied}

    @property
    def errors(self) -> list[str]:
        """What went wrong, in words."""
        found = [str(error.get("message")) for error in self.body.get("errors", [])]
        return found + [str(r["error"]) for r in self.body.get("result", []) if r.get("error")]


@dataclass
class Dashboard:
    """A dashboard as a person sees it: its responses by the title of the chart."""

    page: Page
    titles: Mapping[int, str]
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The titles of the charts that each filter applies to, by the name of the filter."""
    answers: dict[str, Answer] = field(default_factory=dict)

    def collect(self, response: Response) -> None:
        """Keep the response, when it is the data of a chart."""
        form = parse_qs(urlsplit(response.url).query).get("form_data")
        if "/api/v1/chart/data" not in response.url or not form:
            return
        title = self.titles.get(json.loads(form[0]).get("slice_id"))
        if title:
            try:
                body = response.json()
            except (Error, ValueError):  # the page has moved on
                return
            self.answers[title] = Answer(response.request.post_data or "", response.status, body)

    def settle(self) -> None:
        """Wait until every chart has been scrolled to, requested and drawn, and every filter has values."""
        self.page.wait_for_selector(".grid-container")
        # Charts load when they come into view: make everything come into view.
        self.page.set_viewport_size({"width": WIDTH, "height": _TALLEST})
        self._until(lambda: self._unseen(_SHOWN), "not on the page")
        self._until(lambda: sorted(set(self.titles.values()) - set(self.answers)), "data not requested")
        self._until(lambda: self.page.evaluate(_LOADING), "still loading")

    def _unseen(self, shown: str) -> list[str]:
        return sorted(set(self.titles.values()) - set(self.page.evaluate(shown)))

    def _until(self, left: Callable[[], list[str]], failure: str) -> None:
        """Wait until nothing is left; else raise, and say what is left and how the page looks."""
        for _ in range(_TIMEOUT_MS // _LOOK_MS):
            if not (names := left()):
                return
            self.page.wait_for_timeout(_LOOK_MS)
        picture = Path(tempfile.gettempdir()) / "cilake-unsettled.png"
        self.page.screenshot(path=picture)
        shown = self.page.inner_text("body")[:2000]
        raise TimeoutError(f"{failure}: {names}; see {picture}; the page says: {shown}")

    def drawn_canvases(self) -> tuple[int, int]:
        """Return how many canvases of charts show more than one colour, and how many there are.

        Those of cards are left out: the trend line of a single day or week is blank.
        """
        chart = '.chart-slice:not([data-test-viz-type^="big_number"])'
        canvases = self.page.locator(f".grid-container {chart} canvas").element_handles()
        return sum(bool(canvas.evaluate(_IS_DRAWN)) for canvas in canvases), len(canvases)

    def photograph(self, path: Path) -> None:
        """Write a picture of the whole dashboard."""
        bottom = int(self.page.evaluate(_BOTTOM))
        self.page.set_viewport_size({"width": WIDTH, "height": min(bottom + 20, _TALLEST)})
        self.page.mouse.move(2, 2)
        self.page.evaluate("() => window.scrollTo(0, 0)")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._picture_at_rest())

    def _picture_at_rest(self) -> bytes:
        """Return the picture once two in a row are the same: charts are redrawn with an animation."""
        seen = [b""]

        def moving() -> list[str]:
            seen.append(self.page.screenshot())
            return [] if seen[-1] == seen[-2] else ["the picture"]

        self._until(moving, "does not come to rest")
        return seen[-1]

    def choose(self, name: str, value: str) -> None:
        """Set the filter of that name to that value, and wait for the charts that it applies to."""
        self._control(name).locator(".ant-select").click()
        self.page.locator(f'.ant-select-item-option[title="{value}"]').click()
        self.page.keyboard.press("Escape")
        self._apply(name)

    def choose_days(self, first: date, end: date) -> None:
        """Set the filter *Days* to the days from ``first`` to before ``end``, and wait for its charts."""
        self._control("Days").get_by_text("No filter").click()
        editor = self.page.locator(".ant-popover:visible, .ant-modal:visible", has_text="Edit time range")
        texts = editor.locator("input:not([role=combobox])")
        for _ in range(20):  # a choice made while the editor still opens is lost, or its list closes again
            editor.locator(".ant-select").first.click()
            with suppress(NotInTimeError):
                self.page.locator(".ant-select-item-option", has_text="Advanced").click(timeout=3_000)
            self.page.wait_for_timeout(250)
            if texts.count() == 2:
                break
        texts.nth(0).fill(first.isoformat())
        texts.nth(1).fill(end.isoformat())
        editor.get_by_role("button", name="Apply").click()
        self._apply("Days")

    def download(self, title: str, form: str = "CSV") -> str:
        """Return the text of the file that the chart's menu offers."""
        chart = self.page.locator(f'[data-test-chart-name="{title}"]')
        chart.get_by_role("button", name="More Options").click()
        self.page.get_by_text("Download", exact=True).hover()
        with self.page.expect_download() as started:
            self.page.get_by_text(f"Export to .{form}", exact=True).click()
        return Path(started.value.path()).read_text(encoding="utf-8-sig")

    def options(self, name: str) -> list[str]:
        """Return the values that the filter offers, sorted."""
        self._control(name).locator(".ant-select").click()
        shown = self.page.locator(".ant-select-dropdown:visible .ant-select-item-option")
        shown.first.wait_for()
        values = sorted(shown.all_inner_texts())
        self.page.keyboard.press("Escape")
        return values

    def drill(self, title: str) -> list[dict[str, Any]]:
        """Return the rows behind a chart that *Drill to detail* of its menu lists first."""
        chart = self.page.locator(f'[data-test-chart-name="{title}"]')
        chart.get_by_role("button", name="More Options").click()
        with self.page.expect_response(lambda response: "/datasource/samples" in response.url) as answered:
            self.page.get_by_role("menuitem", name="Drill to detail").first.click()
        rows: list[dict[str, Any]] = answered.value.json()["result"]["data"]
        self.page.keyboard.press("Escape")
        return rows

    def _control(self, name: str) -> Locator:
        # A filter whose values are still loading has no control yet, so it is found by its name.
        heading = self.page.get_by_role("heading", name=name, exact=True)
        return self.page.locator(".ant-form-item-row", has=heading)

    def _apply(self, name: str) -> None:
        for title in self.filters[name]:
            self.answers.pop(title, None)
        self.page.locator("[data-test='filter-bar__apply-button']").click()
        self.settle()


_PASSWORDS = {"admin": "CILAKE_SUPERSET_PASSWORD", "viewer": "CILAKE_SUPERSET_VIEWER_PASSWORD"}


class Superset:
    """Superset with a user logged in, by default its admin."""

    def __init__(
        self, page: Page, settings: Mapping[str, str], user: str = "admin", password: str | None = None
    ) -> None:
        self.page = page
        self.url = settings["CILAKE_SUPERSET_URL"]
        page.goto(f"{self.url}/login/")
        page.locator("#username").fill(user)
        page.locator("input[type=password]").fill(password or settings[_PASSWORDS[user]])
        page.locator("button[type=submit]").click()
        # The start page, or Superset's own where the start page was not imported.
        page.wait_for_url(re.compile(r"/superset/(dashboard|welcome)/"))

    def get(self, path: str) -> dict[str, Any]:
        """Return the response of Superset's own API."""
        found: dict[str, Any] = self.page.request.get(f"{self.url}/api/v1/{path}").json()
        return found

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> APIResponse:
        """Change something through Superset's own API; return its response."""
        headers = {"X-CSRFToken": self.get("security/csrf_token/")["result"], "Referer": self.url}
        url = f"{self.url}/api/v1/{path}"
        return self.page.request.fetch(url, method=method, data=dict(body or {}), headers=headers)

    def dashboards(self) -> list[str]:
        """Return the slugs of all dashboards, sorted."""
        return sorted(row["slug"] for row in self.get("dashboard/")["result"])

    @contextmanager
    def dashboard(self, slug: str) -> Iterator[Dashboard]:
        """Open the dashboard; return it once it is loaded."""
        titles = {row["id"]: row["slice_name"] for row in self.get(f"dashboard/{slug}/charts")["result"]}
        metadata = json.loads(self.get(f"dashboard/{slug}")["result"]["json_metadata"])
        filters = {
            chosen["name"]: frozenset(
                title for number, title in titles.items() if number not in chosen["scope"]["excluded"]
            )
            for chosen in metadata.get("native_filter_configuration", [])
        }
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        dashboard = Dashboard(self.page, titles, filters)
        self.page.on("response", dashboard.collect)
        try:
            self.page.goto(f"{self.url}/superset/dashboard/{slug}/")
            dashboard.settle()
            yield dashboard
        finally:
            self.page.remove_listener("response", dashboard.collect)

    def measure_again(self, answer: Answer) -> tuple[float, int]:
        """Return milliseconds and status of the same request repeated, past Superset's cache."""
        question = json.loads(answer.question) | {"force": True}
        timing = self.page.evaluate(
            """async ([url, body]) => {
              const token = (await (await fetch('/api/v1/security/csrf_token/')).json()).result;
              const began = performance.now();
              const reply = await fetch(url, {method: 'POST', body,
                headers: {'Content-Type': 'application/json', 'X-CSRFToken': token}});
              await reply.text();
              return [performance.now() - began, reply.status];
            }""",
            [f"{self.url}/api/v1/chart/data", json.dumps(question)],
        )
        return float(timing[0]), int(timing[1])


class AirflowPages:
    """Airflow with its admin logged in."""

    def __init__(self, page: Page, settings: Mapping[str, str]) -> None:
        self.page = page
        self.url = settings["CILAKE_AIRFLOW_URL"]
        passwords = json.loads(Path(settings["CILAKE_AIRFLOW_PASSWORD_FILE"]).read_text())
        user = settings["CILAKE_AIRFLOW_USER"]
        page.goto(self.url)
        page.locator("input[name=username]").fill(user)
        page.locator("input[name=password]").fill(passwords[user])
        page.locator("button[type=submit]").click()
        page.get_by_test_id("nav-dags-link").wait_for()

    def dags(self) -> list[str]:
        """Open the list of DAGs; return its DAGs in order."""
        self.page.get_by_test_id("nav-dags-link").click()
        self.page.get_by_test_id("dag-card").first.wait_for()
        return self.page.get_by_test_id("dag-id").all_inner_texts()

    def open_run(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Open the page of the run with its grid; return the tasks with their states."""
        self.page.goto(f"{self.url}/dags/{dag_id}/runs/{quote(run_id)}")
        names = self.page.get_by_test_id("table-cell-task_display_name")
        names.first.wait_for()
        states = self.page.get_by_test_id("table-cell-state").all_inner_texts()
        return dict(zip(names.all_inner_texts(), (state.strip() for state in states), strict=True))

    def open_links(self, task_id: str) -> dict[str, str]:
        """Open the task's details from the page of its run; return its extra links by name."""
        self.page.get_by_test_id("table-cell-task_display_name").get_by_role("link", name=task_id).click()
        self.page.get_by_role("link", name="Details", exact=True).click()
        heading = self.page.get_by_text("Extra Links")
        heading.wait_for()
        links = heading.locator("xpath=following::a[starts-with(@href, 'http')]")
        return {link.inner_text(): link.get_attribute("href") or "" for link in links.all()}

    def open_menu(self, name: str) -> FrameLocator:
        """Open our entry of the menu *Browse*; return the page inside Airflow's own."""
        self.page.get_by_text("Browse", exact=True).click()
        self.page.get_by_role("menuitem", name=name).click()
        frame = self.page.frame_locator("iframe")
        frame.locator("h1").first.wait_for()
        return frame
