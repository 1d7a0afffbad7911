"""What an operator does in Airflow, through its REST API: trigger, look, clear, backfill, follow the links.

The work itself is a stand-in that says for which day it was called: `test_chain` is about the real one.
"""

import re
import socket
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from deploy.local.errors import StackError
from deploy.local.layout import REPO, current
from tests.integration.airflow_operator import BY_CLOCK, CHAIN, Operator
from tests.support.browser import AirflowPages, chromium, open_page
from tests.support.waiting import wait_until

from cilake.quality.report import failure_text
from cilake.quality.run import Failure, Report
from cilake.windows import parse_window

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

DAGS_PAGE = REPO / "docs" / "running-dags.md"
REAL = current().bin("jobs", "cilake")
WORK = """#!{python}
import json, os, pathlib, sys
day, folder = sys.argv[sys.argv.index("--start") + 1], pathlib.Path({folder!r})
wrong = (folder / day).read_text() if (folder / day).exists() else ""
if wrong.startswith("http://"):
    os.environ["CILAKE_TESTGRID_URL"] = wrong
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
if wrong:
    print(wrong, file=sys.stderr)
    sys.exit(2)
print(json.dumps({{"day": day, "words": sys.argv[1:3]}}))
"""
BROKEN = Failure(
    expectation_id="has_runs",
    expectation_type="expect_column_values_to_be_between",
    severity="critical",
    reason="The grain is a day on which the job ran.",
    rule={"column": "run_count", "min_value": 1},
    observed={"unexpected_count": 1},
    examples=[{"job_key": 11, "run_date": "2026-03-03", "run_count": 0}],
    advice="Look up the job's runs of the day in core.ci_runs.",
)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """The folder with one file per day for which the job fails; the file is what it says.

    What it says no other try fixes. An address in it is that of TestGrid, and the real work is done.
    """
    return tmp_path_factory.mktemp("broken")


@pytest.fixture(scope="module")
def operator(stack, broken, tmp_path_factory):
    done = stack("up", "--only", "airflow")
    assert done.returncode == 0, done.stderr
    work = tmp_path_factory.mktemp("work") / "cilake"
    work.write_text(WORK.format(python=sys.executable, folder=str(broken), real=str(REAL)))
    work.chmod(0o755)
    settings = stack.home / "settings.env"
    before = settings.read_text()
    settings.write_text(f"{before}CILAKE_JOBS_BIN={work}\n")  # read again for every task
    client = Operator(
        stack.settings["CILAKE_AIRFLOW_URL"],
        stack.settings["CILAKE_AIRFLOW_USER"],
        Path(stack.settings["CILAKE_AIRFLOW_PASSWORD_FILE"]),
        stack.home / "log",
    )
    wait_until(lambda: all(client.dag(dag_id) for dag_id in (*CHAIN, *BY_CLOCK)))
    client.pause("land_testgrid", False)
    yield client
    client.pause("land_testgrid", True)
    wait_until(lambda: not client.active(CHAIN))  # what follows later would do the real work
    settings.write_text(before)


def test_pool_plugin_and_parameter_are_there(operator):
    assert operator.call("GET", "/pools/spark")["slots"] == 2
    (plugin,) = [p for p in operator.call("GET", "/plugins")["plugins"] if p["name"] == "cilake"]
    assert {view["name"]: view["url_route"] for view in plugin["external_views"]} == {
        "Data docs": "data-docs",
        "Tables": "tables",
    }
    assert operator.call("GET", "/plugins/importErrors")["total_entries"] == 0
    for dag_id in CHAIN:
        day = operator.call("GET", f"/dags/{dag_id}/details")["params"]["day"]
        assert day["schema"]["format"] == "date"
        assert day["schema"]["description_md"]


def test_pages_are_for_those_who_are_logged_in(operator, stack):
    index = stack.home / "data-docs" / "index.html"
    if not index.exists():
        index.write_text("<h1>Data quality</h1>")
    status, headers, text = operator.own_page("/cilake/data-docs/index.html")
    assert (status, text) == (200, index.read_text())
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    status, _, text = operator.own_page("/cilake/tables/core/test_results.md")
    assert status == 200
    assert "<h1>Test results</h1>" in text
    assert operator.page("/cilake/data-docs/index.html")[0] == 401
    status, headers, _ = operator.page("/cilake/tables/README.md", Accept="text/html")
    assert (status, headers["Location"].partition("?")[0]) == (307, "/api/v2/auth/login")


@pytest.mark.parametrize(
    "path",
    [
        "/cilake/data-docs/../settings.env",
        "/cilake/data-docs/..%2fsettings.env",
        "/cilake/data-docs/%2e%2e/settings.env",
        "/cilake/tables/../../README.md",
        "/cilake/tables/..%2f..%2fREADME.md",
        "/cilake/tables//etc/passwd",
    ],
)
def test_pages_lead_nowhere_else(operator, path):
    status, _, text = operator.own_page(path)
    assert status == 404
    assert "CILAKE_" not in text


def test_a_day_without_a_key_is_for_one_dag(operator):
    run_id = operator.run("build_core_ci", conf={"day": "2026-03-01"})
    operator.task("build_core_ci", run_id, "success")
    events = operator.call("GET", "/assets/events?source_dag_id=build_core_ci")["asset_events"]
    assert {event["partition_key"] for event in events if event["source_run_id"] == run_id} == {None}


def test_a_run_by_hand_takes_its_day_and_shows_the_links(operator, stack):
    run_id = operator.run("build_kpi_ci_health", conf={"day": "2026-03-01"})
    operator.task("build_kpi_ci_health", run_id, "success")
    returned = operator.returned("build_kpi_ci_health", run_id)
    assert returned == {"day": "2026-03-01", "words": ["build", "kpi_ci_health"]}
    run = f"/dags/build_kpi_ci_health/dagRuns/{run_id.replace('+', '%2B')}"
    links = operator.call("GET", f"{run}/taskInstances/build_kpi_ci_health/links")["extra_links"]
    log = links.pop("Run log")
    assert log.startswith(f"{operator.url}/dags/build_kpi_ci_health/runs/")
    assert log.endswith("/tasks/build_kpi_ci_health?try_number=1")
    assert links == {
        "Data docs": f"{operator.url}/cilake/data-docs/index.html",
        "Table page": f"{operator.url}/cilake/tables/README.md",
        "Superset dashboard": f"{stack.settings['CILAKE_SUPERSET_URL']}/superset/dashboard/ci-health/",
    }
    assert operator.own_page(links["Data docs"].removeprefix(operator.url))[0] == 200


@pytest.mark.parametrize(
    ("dag_id", "body", "status"),
    [
        ("build_core_ci", {"conf": {"day": "yesterday"}}, 400),
        ("build_core_ci", {"conf": {"day": "2026-02-30"}}, 400),
        ("build_core_ci", {"conf": {"day": 20260301}}, 400),
        ("land_testgrid", {"partition_key": "2026-3-1x"}, 400),
        ("build_core_ci", {"conf": "2026-03-01"}, 422),
    ],
)
def test_what_is_no_day_is_refused(operator, dag_id, body, status):
    with pytest.raises(StackError, match=rf": {status} "):
        operator.run(dag_id, **body)


def test_a_key_wins_and_takes_the_day_to_what_follows(operator):
    run_id = operator.run("build_core_ci", partition_key="2026-03-02", conf={"day": "2026-03-01"})
    operator.task("build_core_ci", run_id, "success")
    assert run_id.startswith("manual__2026-03-02__")
    assert operator.returned("build_core_ci", run_id)["day"] == "2026-03-02"
    for dag_id in CHAIN[2:]:
        (followed,) = wait_until(lambda dag_id=dag_id: operator.runs(dag_id, "2026-03-02"))
        operator.task(dag_id, followed, "success")
        assert followed.startswith("asset_triggered__2026-03-02__")
        assert operator.returned(dag_id, followed)["day"] == "2026-03-02"
        runs = operator.runs(dag_id).values()
        assert all(run["partition_key"] for run in runs if run["run_type"] == "asset_triggered")


def test_a_failed_validation_is_explained_and_a_clear_repairs_it(operator, broken):
    report = Report("kpi.daily_job_health", "v1", date(2026, 3, 3), 7, [{}], [BROKEN])
    message = "cilake: kpi.daily_job_health was not published: a critical expectation failed (see above)"
    (broken / "2026-03-03").write_text(f"{failure_text(report)}\n{message}")
    run_id = operator.run("build_kpi_ci_health", partition_key="2026-03-03")
    task = operator.task("build_kpi_ci_health", run_id, "up_for_retry", "failed")
    assert task["state"] == "failed", "the same rows fail the same check"
    (broken / "2026-03-03").unlink()
    log = operator.log_with("was not published", "build_kpi_ci_health", run_id, task)
    assert "[critical] has_runs" in log, log
    for part in ('"run_count", "min_value": 1', '"unexpected_count": 1', BROKEN.reason, '"job_key": 11'):
        assert part in log
    assert BROKEN.advice in log
    # Cleared before the scheduler has ended the run, the task would wait in a failed run for good.
    wait_until(lambda: operator.runs("build_kpi_ci_health", "2026-03-03")[run_id]["state"] == "failed")
    body = {"dag_run_id": run_id, "task_ids": ["build_kpi_ci_health"], "only_failed": False}
    seen = operator.call("POST", "/dags/build_kpi_ci_health/clearTaskInstances", {**body, "dry_run": True})
    assert seen["total_entries"] == 1
    operator.call("POST", "/dags/build_kpi_ci_health/clearTaskInstances", {**body, "dry_run": False})
    task = operator.task("build_kpi_ci_health", run_id, "success")
    assert task["try_number"] == 2
    wait_until(lambda: operator.runs("build_kpi_ci_health", "2026-03-03")[run_id]["state"] == "success")


def test_a_backfill_gives_each_day_once_to_every_dag(operator):
    days = ("2026-03-05", "2026-03-06")
    body = {
        "dag_id": "land_testgrid",
        "from_date": f"{days[0]}T00:00:00Z",
        "to_date": f"{days[1]}T00:00:00Z",
        "max_active_runs": 1,
        "reprocess_behavior": "completed",
    }
    planned = operator.call("POST", "/backfills/dry_run", body)["backfills"]
    assert [run["partition_key"] for run in planned] == list(days)
    backfill = operator.call("POST", "/backfills", body)
    wait_until(lambda: operator.call("GET", f"/backfills/{backfill['id']}")["completed_at"])
    for dag_id in CHAIN:
        for day in days:
            (run_id,) = wait_until(lambda dag_id=dag_id, day=day: operator.runs(dag_id, day))
            operator.task(dag_id, run_id, "success")
            assert operator.returned(dag_id, run_id)["day"] == day
            assert re.match(f"(backfill|asset_triggered)__{day}__", run_id), "the list of runs shows the day"


def test_a_source_that_is_down_ends_the_log_with_one_line(operator, broken):
    with socket.socket() as taken:  # bound and not listened on
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        (broken / "2026-04-01").write_text(url)
        run_id = operator.run("land_testgrid", partition_key="2026-04-01")
        task = operator.task("land_testgrid", run_id, "up_for_retry")
        log = operator.log("land_testgrid", run_id, task)
    message = (
        f"cilake: TestGrid at {url} (CILAKE_TESTGRID_URL) does not respond: connection refused; "
        "check the address, or run again when it is back"
    )
    assert [(e["level"], e["event"]) for e in log[-2:]] == [("error", message), ("error", "Task exited")]
    assert not [entry for entry in log if entry.get("error_detail") or "Traceback" in entry["event"]]
    (broken / "2026-04-01").unlink()
    assert operator.task("land_testgrid", run_id, "success")["try_number"] == 2


def test_what_another_try_does_not_mend_fails_at_once_and_holds_nobody_up(operator, broken):
    message = "cilake: 2199-01-01 has not begun: nothing was landed"
    (broken / "2199-01-01").write_text(message)
    run_id = operator.run("land_testgrid", partition_key="2199-01-01")
    other = operator.run("land_testgrid", partition_key="2026-04-02")
    task = operator.task("land_testgrid", run_id, "failed", "up_for_retry")
    assert (task["state"], task["try_number"]) == ("failed", 1)
    operator.task("land_testgrid", other, "success")
    log = operator.log("land_testgrid", run_id, task)
    assert [entry["event"] for entry in log[-2:]] == [message, "Task exited"]


def test_a_missing_command_fails_at_once(operator, stack):
    for dag_id in CHAIN:  # the day of the test before goes on, and needs the command
        wait_until(lambda dag_id=dag_id: operator.runs(dag_id, "2026-04-02"))
    wait_until(lambda: not operator.active(CHAIN))
    settings = stack.home / "settings.env"
    before = settings.read_text()
    settings.write_text(f"{before}CILAKE_JOBS_BIN=/nowhere/cilake\n")
    try:
        run_id = operator.run("build_kpi_ci_health", partition_key="2026-04-03")
        task = operator.task("build_kpi_ci_health", run_id, "failed", "up_for_retry")
    finally:
        settings.write_text(before)
    assert (task["state"], task["try_number"]) == ("failed", 1)
    *_, logged, _ = operator.log("build_kpi_ci_health", run_id, task)
    assert logged["event"] == "no command '/nowhere/cilake': set CILAKE_JOBS_BIN to cilake of the jobs env"


def test_a_backfill_from_the_command_line_works_as_it_is_printed(operator, stack):
    command = re.search(r'^ *make airflow ARGS="(backfill create .+)"$', DAGS_PAGE.read_text(), re.MULTILINE)
    done = stack("airflow", ARGS=command[1])
    assert done.returncode == 0, done.stdout + done.stderr
    first, last = re.findall(r"\d{4}-\d{2}-\d{2}", command[1])
    days = [*map(str, parse_window(first, last).days), last]
    for day in days:
        found = wait_until(
            lambda day=day: [
                run_id
                for run_id, run in operator.runs("land_testgrid", day).items()
                if (run["run_type"], run["state"]) == ("backfill", "success")
            ]
        )
        assert found[0].startswith(f"backfill__{day}__")
    path = "/backfills?dag_id=land_testgrid"  # there is one at a time
    wait_until(lambda: all(each["completed_at"] for each in operator.call("GET", path)["backfills"]))


def test_after_a_backfill_airflow_makes_up_for_the_last_tick_only(operator, stack):
    """As docs/running-dags.md says of backfills; reading the DAGs again is what sets it off."""
    assert stack("airflow", ARGS="dags reserialize").returncode == 0
    yesterday = str(datetime.now(UTC).date() - timedelta(days=1))
    for dag_id in CHAIN:
        wait_until(lambda dag_id=dag_id: operator.runs(dag_id, yesterday))
    runs = operator.runs("land_testgrid")
    (made,) = [run_id for run_id, run in runs.items() if run["run_type"] == "scheduled"]
    assert made.startswith(f"scheduled__{yesterday}__")


@pytest.mark.parametrize(
    "change",
    [{"dag_id": "build_core_ci"}, {"dag_run_conf": {"day": "yesterday"}}],
    ids=["by assets", "no day"],
)
def test_a_backfill_that_cannot_be_is_refused(operator, change):
    body = {
        "dag_id": "land_testgrid",
        "from_date": "2026-03-07T00:00:00Z",
        "to_date": "2026-03-07T00:00:00Z",
    }
    with pytest.raises(StackError, match=r": 4[02]\d "):
        operator.call("POST", "/backfills", body | change)


@pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine")
def test_an_operator_finds_the_way_in_a_browser(operator, stack, played):
    """The list of DAGs, a run's grid, our links, the data docs and the table pages; pictures are kept."""
    assert played, "the nights whose checks the data docs show"
    run_id = operator.run("build_core_ci", partition_key="2026-05-01")
    operator.task("build_core_ci", run_id, "success")
    with open_page() as page:
        airflow = AirflowPages(page, stack.settings)
        assert airflow.dags() == sorted(path.stem for path in (REPO / "dags").glob("*.py"))
        photograph(page, "airflow-dags")

        assert airflow.open_run("build_core_ci", run_id) == {"build_core_ci": "Success"}
        page.get_by_test_id(f"grid-{run_id}-build_core_ci").wait_for()
        links = airflow.open_links("build_core_ci")
        assert sorted(links) == ["Data docs", "Run log", "Superset dashboard", "Table page"]
        photograph(page, "airflow-links")
        page.goto(f"{airflow.url}/dags/build_core_ci/runs")
        page.get_by_role("link", name=re.compile("^manual__2026-05-01__")).first.wait_for()
        photograph(page, "airflow-runs")
        page.goto(links["Table page"])
        assert page.locator("h1").inner_text() == "Tables"
        page.get_by_role("link", name="core.test_results").first.click()
        page.get_by_text("One row per test").first.wait_for()

        page.goto(airflow.url)
        docs = airflow.open_menu("Data docs")
        docs.get_by_role("link", name="core.test_results").click()
        docs.get_by_text("rules hold").first.wait_for()
        photograph(page, "data-docs")


def photograph(page, name):
    page.screenshot(animations="disabled", path=REPO / ".local" / "pictures" / f"{name}.png")
