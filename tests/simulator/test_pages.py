"""The pages behind the links of runs: what they show, when, and what they never do."""

import re
from collections import Counter
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from tests.support.browser import chromium, open_page

from ciworld.clock import parse_instant
from ciworld.services.run_pages import pages
from ciworld.services.testgrid.synthetic import SyntheticDashboards
from ciworld.world.runs import Run
from ciworld.world.synthetic import SyntheticWorld
from ciworld.world.universe import EPOCH, HISTORY_START
from ciworld.worlds import serve_recorded

from .conftest import serving
from .test_recorded import small  # noqa: F401 - a fixture
from .test_synthetic import by_build

STATUSES = {12: "failed", 13: "flaky", 1: "passed", 3: "passed with skips"}


class Page(HTMLParser):
    """The texts of a page: facts by their term, rows of the first table, counts, links."""

    def __init__(self, text):
        super().__init__()
        self.facts, self.tables, self.links, self.texts, self.tiles = {}, [], [], [], []
        self.title, self.tags, self.path = [], Counter(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        if tag in ("meta", "link"):
            return
        self.path.append(tag)
        if tag == "a":
            self.links.append(dict(attributes)["href"])
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag == "td":
            self.tables[-1][-1].append("")
        if tag == "dt":
            self.facts[""] = ""

    def handle_endtag(self, tag):
        assert self.path.pop() == tag

    def handle_data(self, data):
        if "style" in self.path:
            return
        self.texts.append(data)
        if "td" in self.path:
            self.tables[-1][-1][-1] += data
        if "h1" in self.path:
            self.title.append(data)
        if "li" in self.path:
            self.tiles.append(data)
        if "dt" in self.path:
            del self.facts[""]
            self.term = data
            self.facts[data] = ""
        elif "dd" in self.path:
            self.facts[self.term] += data

    @property
    def text(self):
        return " ".join(self.texts)

    @property
    def counts(self):
        """The tiles: their number by their word."""
        return {word: int(number.replace(",", "")) for number, word in batched(self.tiles)}


def batched(texts):
    return zip(texts[::2], texts[1::2], strict=True)


def run_url(job, run):
    return f"/view/gs/ciworld-ci/logs/{job.name}/{run.build_id}"


def page_of(world, job, run, at):
    page = pages.page_at(world, run_url(job, run), at)
    assert page.status == 200
    return Page(page.body.decode())


@pytest.fixture(scope="module")
def job(world):
    return world.universe.jobs[0]


@pytest.fixture(scope="module")
def run(world, job):
    return world.runs(job, EPOCH, EPOCH + timedelta(days=1))[0]


def test_the_links_of_a_table_lead_to_pages_of_this_server(client, world, job):
    table = client.get(f"/{job.dashboard}/table", params={"tab": job.name}).json()
    address = str(client.base_url).rstrip("/")
    for key in ("open-test-template", "results-url-template"):
        url = table[key]["url"].replace("<gcs_prefix>", table["query"])
        url = url.replace("<changelist>", table["changelists"][3])
        assert url.startswith(f"{address}/")
        answer = client.get(url)
        assert answer.status_code == 200
        assert job.name in answer.text and table["changelists"][3] in answer.text


def test_the_address_is_the_servers_own_whatever_host_a_request_names(client, job):
    table = f"/{job.dashboard}/table?tab={job.name}"
    plain, other = client.get(table), client.get(table, headers={"Host": "evil.example"})
    assert other.headers["ETag"] == plain.headers["ETag"]
    assert other.json()["open-test-template"] == plain.json()["open-test-template"]


def test_the_same_address_gives_the_same_table(dashboards, job):
    first = dashboards.table(job.dashboard, job.name, EPOCH, "http://127.0.0.1:18490")
    again = SyntheticDashboards(SyntheticWorld(11)).table(
        job.dashboard, job.name, EPOCH, "http://127.0.0.1:18490"
    )
    other = dashboards.table(job.dashboard, job.name, EPOCH, "http://127.0.0.1:18491")
    assert first.etag == again.etag != other.etag
    keep = {"open-test-template", "results-url-template", "status", "phase-timer", "cached"}
    one, two = ({k: v for k, v in orjson.loads(p.plain(1)).items() if k not in keep} for p in (first, other))
    assert one == two


def test_recorded_links_stay_as_recorded(small):  # noqa: F811
    with serving(serve_recorded(small), EPOCH) as client:
        assert "open-test-template" not in client.get("/red-board/table?tab=job-a").json()
        answer = client.get("/view/gs/bucket/logs/job-a/14")
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")


def test_every_result_of_a_run_is_on_its_page(world, dashboards, truth):
    """Also of one that was run again, of a renamed test and of a run in an outage."""
    at = EPOCH + timedelta(days=2)
    job = world.universe.jobs[3]
    table = orjson.loads(dashboards.table(job.dashboard, job.name, at).plain(1))
    cells = by_build(table)
    finished = [b for b in table["changelists"] if cells[b, "Overall"][0] != 4]
    assert len(finished) > 80
    for build in finished:
        run = world.run(job, build, at)
        page = page_of(world, job, run, at)
        tests = {name: cell for (b, name), cell in cells.items() if b == build and name != "Overall"}
        expected = Counter(STATUSES[code] for code, _, _ in tests.values() if code)
        assert {w: n for w, n in page.counts.items() if n and w != "without result"} == dict(expected)
        assert sum(page.counts.values()) == len(job.tests)
        bad = {
            (STATUSES[code], name, output) for name, (code, output, _) in tests.items() if code in (12, 13)
        }
        rows = page.tables[0] if bad else []
        assert {tuple(row) for row in rows if row} == bad
        assert page.title[0] == STATUSES[cells[build, "Overall"][0]]


def test_a_page_names_what_the_run_is(world, job, run):
    page = page_of(world, job, run, run.final)
    facts = page.facts
    assert (facts["Job"], facts["Dashboard"]) == (job.name, job.dashboard)
    assert (facts["Release"], facts["Platform"]) == (job.release, job.platform)
    assert (facts["Build id"], facts["Commit"]) == (run.build_id, run.commit)
    assert facts["Started"] == f"{run.started:%Y-%m-%d %H:%M} UTC"
    assert facts["Ended"].startswith(f"{run.final:%Y-%m-%d %H:%M} UTC (after ")


def test_a_run_that_has_not_finished_says_so(world, job, run):
    page = page_of(world, job, run, run.final - timedelta(hours=1))
    assert page.title[0] == "running"
    assert page.facts["Ended"] == "not yet"
    assert "has not finished" in page.text
    assert page.counts == {}
    assert f"{run.final:%H:%M}" not in page.text


@pytest.mark.parametrize("when", [timedelta(seconds=-1), timedelta(days=-40)])
def test_a_run_that_has_not_started_is_not_found(world, job, run, when):
    page = pages.page_at(world, run_url(job, run), run.started + when)
    assert page.status == 404
    assert f"No run {run.build_id} of this job has started by" in Page(page.body.decode()).text


@pytest.mark.parametrize(
    "path",
    [
        "/view/gs/ciworld-ci/logs/JOB/1",
        "/view/gs/ciworld-ci/logs/JOB/2028213573645950618",
        "/view/gs/ciworld-ci/logs/JOB/9999999999999999999",
        "/view/gs/ciworld-ci/logs/JOB/%D9%A1%D9%A2",
        "/view/gs/ciworld-ci/logs/JOB/<script>alert(1)</script>",
        "/view/gs/ciworld-ci/logs/JOB/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/view/gs/ciworld-ci/logs/JOB",
        "/view/gs/ciworld-ci/logs/no-job/1",
        "/view/gs/ciworld-ci/logs/%22%3E%3Cimg%20src%3Dx%3E/1",
        "/job-history/ciworld-ci/logs/no-job",
        "/job-history/ciworld-ci/logs/",
        "/job-history/ciworld-ci/logs/JOB/more",
        "/view/gs/other/logs/JOB/1",
    ],
)
def test_what_is_unknown_is_404_with_a_sentence_and_nothing_of_the_path_runs(client, job, path):
    answer = client.get(path.replace("JOB", job.name))
    assert answer.status_code == 404
    if answer.headers["Content-Type"].startswith("text/html"):
        page = Page(answer.text)
        assert page.tags["script"] == page.tags["img"] == 0
        assert re.search(r"There is no job|has started by", page.text)


def test_names_and_messages_are_escaped(world, job, run, monkeypatch):
    names = ['<script>alert("x")</script>'] * len(world.universe.names)
    monkeypatch.setattr(world.universe, "names", names)
    broken = next(
        r for r in world.runs(job, EPOCH, EPOCH + timedelta(days=9)) if (world.codes(r) == 12).any()
    )
    page = page_of(world, job, broken, broken.final)
    assert page.tags["script"] == 0
    assert names[0] in page.text


def test_pages_load_nothing_from_elsewhere(client, world, job, run):
    for url in (run_url(job, run), f"/job-history/ciworld-ci/logs/{job.name}"):
        answer = client.get(url)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        page = Page(answer.text)
        assert page.tags["script"] == 0 and "style=" not in answer.text
        assert not [link for link in page.links if urlsplit(link).netloc]
        head = client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert client.post(url).status_code == 405


def find_run(world, item):
    job = next(job for job in world.universe.jobs if job.name == item["job"])
    return job, world.run(job, item["build_id"], parse_instant(item["started_at"]))


def test_a_late_run_is_there_before_testgrid_shows_it(world, truth):
    job, run = find_run(world, truth["late_columns"][0])
    shown = parse_instant(truth["late_columns"][0]["visible_at"])
    assert page_of(world, job, run, run.started).facts["On the dashboards"] == "not shown yet"
    assert (
        page_of(world, job, run, shown - timedelta(seconds=1)).facts["On the dashboards"] == "not shown yet"
    )
    assert (
        page_of(world, job, run, shown)
        .facts["On the dashboards"]
        .startswith(f"late: since {shown:%Y-%m-%d %H:%M} UTC, ")
    )


def test_a_rerun_shows_only_once_it_has_happened(world, truth):
    item = truth["rerun_columns"][0]
    job, run = find_run(world, item)
    again = parse_instant(item["rerun_at"])
    before, after = (page_of(world, job, run, at) for at in (again - timedelta(seconds=1), again))
    assert before.facts["Run again"] == "no"
    assert after.facts["Run again"].startswith(f"{again:%Y-%m-%d %H:%M} UTC")


def test_build_ids_of_all_runs_are_found(world):
    for job in world.universe.jobs[:4]:
        runs = world.runs(job, HISTORY_START, EPOCH)
        assert [world.run(job, run.build_id, EPOCH) for run in runs] == runs
        assert all(isinstance(run, Run) for run in runs)


def test_a_job_lists_its_newest_runs(world, job):
    at = EPOCH + timedelta(days=20)
    page = Page(pages.page_at(world, f"/job-history/ciworld-ci/logs/{job.name}", at).body.decode())
    runs = [run for run in world.runs(job, HISTORY_START, at + timedelta(days=1)) if run.started <= at]
    assert [row[1] for row in page.tables[0] if row] == [run.build_id for run in runs[::-1][:100]]
    assert page.links == [run_url(job, run) for run in runs[::-1][:100]]


def test_a_job_before_the_first_run_has_none(world, job):
    at = HISTORY_START - timedelta(days=1)
    page = Page(pages.page_at(world, f"/job-history/ciworld-ci/logs/{job.name}", at).body.decode())
    assert "None has started yet" in page.text


def test_a_page_leads_to_other_runs_of_its_job(client, world, job, run):
    page = Page(client.get(run_url(job, run)).text)
    links = set(page.links) - {f"/job-history/ciworld-ci/logs/{job.name}"}
    assert len(links) == 10 and run_url(job, run) not in links
    assert all(client.get(link).status_code == 200 for link in links)


def test_no_fault_strikes_a_page(client, job, run):
    client.post("/_ciworld/faults", json=[{"kind": "500", "times": 1}])
    assert client.get(run_url(job, run)).status_code == 200
    assert client.get(f"/{job.dashboard}/summary").status_code == 500


@pytest.mark.skipif(not chromium(), reason="no Chromium on this machine")
def test_a_browser_shows_a_page_with_its_style_and_without_complaints(client, job, run):
    output = []
    with open_page() as page:
        page.on("console", lambda message: output.append(message.text))
        page.on("pageerror", lambda error: output.append(str(error)))
        page.on(
            "request", lambda request: output.append(request.url) if run.build_id not in request.url else None
        )
        page.goto(f"{client.base_url}{run_url(job, run)}")
        assert page.locator("h1").inner_text().endswith(f"Run {run.build_id}")
        badge = page.locator("h1 .badge")
        assert badge.evaluate("badge => getComputedStyle(badge).display") == "inline-block"
        page.set_viewport_size({"width": 400, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert output == []
        page.get_by_text("All runs of this job").click()
        page.wait_for_url("**/job-history/**")
        assert page.locator("tbody tr").count() == 100
        assert httpx.get(page.url).status_code == 200
