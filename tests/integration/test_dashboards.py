"""The dashboards in a browser: every chart shows data, a filter changes it, the files are what is shown.

Pictures of what was seen are in ``.local/pictures``.
"""

import os
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from deploy.local.layout import REPO, Layout
from deploy.local.services import superset as superset_stack
from tests.support.browser import Superset, chromium, open_page

PICTURES = REPO / ".local" / "pictures"
SLUGS = ["ci-health", "flaky-and-failing-tests", "platform-health", "predictions"]
# Nothing may be wrong, and nothing may have changed: then these charts have nothing to show.
MAY_BE_EMPTY = {
    "Failed checks",
    "Failed runs",
    "Incomplete landings",
    "Jobs that got worse",
    "Model versions",
    "Newest failed runs (first 50)",
    "Probably failing tonight",
    "Tests that started failing",
}

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
    assert superset.dashboards() == slugs == sorted([*SLUGS, "start"])


def test_the_report_of_the_login_page_cannot_undo_a_login(superset):
    """Its response may come after the login: a cookie with it would replace the one of the login."""
    with httpx.Client(base_url=superset.url) as visitor:
        assert visitor.get("/login/").status_code == 200
        answer = visitor.post("/superset/log/", params={"explode": "events"}, data={"events": "[]"})
    assert (answer.status_code, answer.headers.get("set-cookie")) == (204, None)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_chart_shows_data_without_an_error(superset, slug):
    with superset.dashboard(slug) as dashboard:
        dashboard.photograph(PICTURES / f"{slug}.png")
        assert set(dashboard.answers) == set(dashboard.titles.values()), (
            "the data of a chart was not requested"
        )
        assert {title: a.errors for title, a in dashboard.answers.items() if a.errors} == {}
        assert {answer.status for answer in dashboard.answers.values()} == {200}
        empty = {title for title, answer in dashboard.answers.items() if answer.row_count == 0}
        assert empty <= MAY_BE_EMPTY
        drawn, canvases = dashboard.drawn_canvases()
        assert drawn == canvases > 1


JOB, PLATFORM, RELEASE = "e2e-aws-4.8", "aws", "4.8"
TEST = "[sig-1] test of everything"
DAY = date(2021, 6, 5)
"""A day within the recorded week, as first and as last day of a range."""
FAILING = "('failed', 'timed_out', 'categorized_fail', 'build_failed', 'tool_failed')"
RUNS = "core.ci_runs r join core.ci_jobs j using (job_key)"
RESULTS = "core.test_results r join core.tests t using (test_key) join core.ci_jobs j using (job_key)"
OUTCOMES = "predictions.test_failure_outcomes o join core.ci_jobs j using (job_key)"
WEEK = "date_trunc('week', run_date)"

CHOICES = {
    "ci-health": {
        "Days": "run_date >= date '2021-06-05' and run_date < date '2021-06-06'",
        "Release": f"release = '{RELEASE}'",
        "Platform": f"platform = '{PLATFORM}'",
        "Job": f"job_name = '{JOB}'",
    },
    # 5 June is a Saturday: its week counts whole, and no other one.
    "flaky-and-failing-tests": {
        "Days": f"{WEEK} = date '2021-05-31'",
        "Release": f"release = '{RELEASE}'",
        "Platform": f"platform = '{PLATFORM}'",
        "Job": f"job_name = '{JOB}'",
        "Test": f"test_name = '{TEST}'",
    },
    "predictions": {
        "Days": "prediction_date = date '2021-06-06'",
        "Model version": "model_version = 'baseline'",
        "Release": f"release = '{RELEASE}'",
    },
    "platform-health": {"Days": "false"},
}
"""For each filter of each dashboard what the chosen value means in SQL."""
VALUES = {
    "Release": RELEASE,
    "Platform": PLATFORM,
    "Job": JOB,
    "Test": TEST,
    "Model version": "baseline",
}
COLUMNS = {
    "Days": {"run_date", "week_date", "prediction_date", "finished_at", "landed_at", "validated_at"},
    "Release": {"release"},
    "Platform": {"platform"},
    "Job": {"job_name"},
    "Test": {"test_name"},
    "Model version": {"model_version"},
}
"""The columns of the charts' datasets that each filter is about."""
RANGES = {
    "ci-health": (DAY, DAY + timedelta(days=1)),
    "flaky-and-failing-tests": (DAY, DAY + timedelta(days=1)),
    "predictions": (date(2021, 6, 6), date(2021, 6, 7)),
    "platform-health": (date(2001, 1, 1), date(2001, 1, 2)),
}


def total(title, name):
    return lambda answers: sum(row[name] or 0 for row in answers[title].rows)


def by(title, key, name):
    return lambda answers: {row[key]: row[name] for row in answers[title].rows if row[name]}


NUMBERS = {
    "ci-health": [
        (total("Verdicts of runs", "runs"), f"select count(*) from {RUNS} where {{}}"),
        (
            total("Runs per day by verdict", "runs_passed"),
            f"select count_if(result = 'passed') from {RUNS} where {{}}",
        ),
        (
            by("Worst jobs", "job_name", "results_failed"),
            f"select job_name, count(*) from {RESULTS} "
            f"where test_status in {FAILING} and not is_verdict and {{}} group by 1",
        ),
    ],
    "flaky-and-failing-tests": [
        (
            by("Failing tests per week", "week", "failing_tests"),
            f"select format_datetime({WEEK}, 'yyyy-MM-dd'), count(distinct test_key) from {RESULTS} "
            f"where test_status in {FAILING} and not is_verdict and {{}} group by 1",
        ),
        (
            total("Most failing tests (first 50)", "failed"),
            f"select count(*) from {RESULTS} where test_status in {FAILING} and not is_verdict and {{}}",
        ),
        (
            total("Flakiest tests (first 50)", "flaky"),
            f"select count(*) from {RESULTS} where test_status = 'flaky' and not is_verdict and {{}}",
        ),
    ],
    "predictions": [
        (
            total("Measured decisions", "decisions"),
            f"select count(*) from {OUTCOMES} where not has_abstained and {{}}",
        ),
        (
            total("Failures among them", "failures"),
            f"select count(*) from {OUTCOMES} where has_failed and not has_abstained and {{}}",
        ),
    ],
    "platform-health": [
        (
            lambda answers: sum(
                (row.get("held") or 0) + (row.get("failed") or 0) for row in answers["Checks per table"].rows
            ),
            "select count(*) from ops.validation_results where {}",
        ),
        (
            total("Payloads per landed day", "landed"),
            "select coalesce(sum(landed_count), 0) from ops.latest_receipts where {}",
        ),
    ],
}
"""Numbers of charts, and the SQL that counts them from the tables of results and runs."""


@pytest.mark.parametrize("slug", SLUGS)
def test_every_filter_changes_every_chart_that_it_applies_to_as_sql_does(superset, played, slug):
    lake, _ = played
    with superset.dashboard(slug) as dashboard:
        assert set(dashboard.filters) == set(CHOICES[slug])
        conditions = ["true"]
        compare(lake, dashboard, slug, conditions)
        for name, condition in CHOICES[slug].items():
            if name == "Days":
                dashboard.choose_days(*RANGES[slug])
            else:
                dashboard.choose(name, VALUES[name])
            conditions.append(condition)
            unmoved = {
                title: answer.errors or answer.question
                for title, answer in dashboard.answers.items()
                if title in dashboard.filters[name]
                and (answer.errors or not COLUMNS[name] & answer.filtered_by)
            }
            assert unmoved == {}, name
            compare(lake, dashboard, slug, conditions)


def compare(lake, dashboard, slug, conditions):
    condition = " and ".join(conditions)
    for shown, query in NUMBERS[slug]:
        rows = [list(row.values()) for row in lake.sql(query.format(condition))]
        counted = dict(rows) if rows and len(rows[0]) == 2 else rows[0][0] if rows else {}
        assert shown(dashboard.answers) == (counted or type(counted)()), (query, condition)


def test_dependent_filters_offer_what_the_chosen_ones_leave(superset):
    with superset.dashboard("ci-health") as dashboard:
        assert dashboard.options("Job") == ["e2e-aws-4.8", "e2e-gcp-4.8"]
        dashboard.choose("Platform", PLATFORM)
        assert dashboard.options("Job") == [JOB]


def test_descriptions_are_written_on_the_dashboard(superset):
    texts = {chart["slice_name"]: chart["description"] for chart in all_of("charts")}
    for slug in SLUGS:
        with superset.dashboard(slug) as dashboard:
            page = " ".join(dashboard.page.locator(".grid-container").inner_text().split())
            unseen = [title for title in dashboard.titles.values() if texts[title] not in page]
            assert unseen == [], slug


def all_of(kind):
    return [yaml.safe_load(path.read_text()) for path in (superset_stack.DASHBOARDS / kind).rglob("*.yaml")]


def test_a_download_has_plain_addresses_and_the_page_has_links(superset):
    title = "Most failing tests (first 50)"
    with superset.dashboard("flaky-and-failing-tests") as dashboard:
        assert any("<a href=" in str(row["last_failure"]) for row in dashboard.answers[title].rows)
        text = dashboard.download(title)
    assert "https://ci.example/view/" in text
    assert "<" not in text
    with superset.dashboard("flaky-and-failing-tests") as dashboard:
        assert any("<a href=" in str(row["last_failure"]) for row in dashboard.answers[title].rows), "cached"


def test_no_table_that_says_how_many_rows_it_shows_warns_of_it_for_ever(superset):
    with superset.dashboard("flaky-and-failing-tests") as dashboard:
        assert dashboard.page.locator('[data-test-chart-name] [aria-label="warning"]:visible').count() == 0


def test_drilling_into_a_chart_lists_rows_with_the_page_of_a_run(superset):
    with superset.dashboard("ci-health") as dashboard:
        runs = dashboard.drill("Verdicts of runs") + dashboard.drill("Worst jobs day by day")
    with superset.dashboard("flaky-and-failing-tests") as dashboard:
        weeks = [row for row in dashboard.drill("Failing tests per week") if row["failed_count"]]
        pairs = dashboard.drill("Tests that fail together (first 50)")
    assert {"job_name", "build_id", "run_date"} <= set(runs[0]) & set(runs[-1])
    urls = [row["run_url"] for row in runs] + [row["last_failed_run_url"] for row in weeks]
    urls += [row["last_together_run_url"] for row in pairs]
    assert runs and weeks and pairs
    assert all(url.startswith("https://ci.example/view/") for url in urls)
    assert all("<a href=" in row["last_failed_run"] for row in weeks), "and the first column is a link"


def test_export_after_looking_changes_no_file_and_only_an_asked_for_import_overwrites(
    superset, played, tmp_path
):
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
    assert superset.get(f"chart/{chart['id']}")["result"]["slice_name"] == "Changed by hand"
    superset_stack.import_dashboards(layout, lake.stack.settings, overwrite=True)
    assert superset.get(f"chart/{chart['id']}")["result"]["slice_name"] == "Runs"
