"""What people find in Superset when they log in, as viewer and as admin, and what a start leaves alone.

Pictures of what was seen are in ``.local/pictures``.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
from deploy.local.layout import REPO, Layout
from deploy.local.services import superset as superset_stack
from deploy.superset import guide_queries, viewer_role
from tests.support.browser import Superset, chromium, open_other_page, open_page

PICTURES = REPO / ".local" / "pictures"
OTHER_LABEL = "Which test fails most often"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def layout(played):
    lake, _ = played
    return Layout(lake.stack.home, Path(os.environ["CILAKE_ENV_HOME"]))


@pytest.fixture(scope="module")
def settings(played):
    lake, _ = played
    return lake.stack.settings


@pytest.fixture(scope="module")
def viewer(settings):
    with open_page() as page:
        yield Superset(page, settings, "viewer")


@pytest.fixture(scope="module")
def admin(settings, viewer):
    with open_other_page(viewer.page) as page:
        yield Superset(page, settings)


@pytest.fixture
def either(request):
    return request.getfixturevalue(request.param)


both = pytest.mark.parametrize("either", ["viewer", "admin"], indirect=True)


def everything(superset, kind):
    """All entries of that kind that the user may see."""
    return superset.get(f"{kind}/?q=(page_size:100)")["result"]


@both
def test_the_start_page_opens_after_the_login_and_at_the_root(either):
    either.page.goto(f"{either.url}/login/")
    assert either.page.url == f"{either.url}/superset/dashboard/start/"
    either.page.goto(f"{either.url}/")
    assert either.page.url == f"{either.url}/superset/dashboard/start/"
    either.page.goto(f"{either.url}/superset/welcome/")
    assert either.page.url == f"{either.url}/superset/welcome/"


def test_visitors_are_led_to_the_login_and_from_there_to_the_start_page(viewer, settings):
    with open_other_page(viewer.page) as page:
        page.goto(viewer.url)
        page.locator("#username").fill("viewer")
        page.locator("#password").fill(settings["CILAKE_SUPERSET_VIEWER_PASSWORD"])
        page.locator("#password").press("Enter")
        page.wait_for_url(f"{viewer.url}/superset/dashboard/start/")


def test_the_start_page_leads_to_dashboards_queries_and_table_pages(viewer, settings):
    with viewer.dashboard("start") as start:
        start.photograph(PICTURES / "start.png")
        assert {answer.status for answer in start.answers.values()} == {200}
        links = viewer.page.locator(".dashboard-markdown a, .markdown-container a")
        addresses = {link.get_attribute("href") for link in links.all()}
    slugs = {found[1] for to in addresses if (found := re.fullmatch(r"/superset/dashboard/([\w-]+)/", to))}
    assert slugs == set(viewer.dashboards()) - {"start"}
    assert f"{settings['CILAKE_AIRFLOW_URL']}/cilake/tables/README.md" in addresses
    for own in sorted(to for to in addresses if to.startswith("/")):
        assert viewer.page.request.get(f"{viewer.url}{own}").ok, own


def test_the_viewer_sees_what_the_admin_sees(viewer, admin):
    for kind, name in (("dashboard", "slug"), ("chart", "slice_name"), ("dataset", "table_name")):
        seen = sorted(row[name] for row in everything(viewer, kind))
        assert seen == sorted(row[name] for row in everything(admin, kind))
        assert seen


def test_charts_show_the_viewer_their_data(viewer):
    with viewer.dashboard("ci-health") as dashboard:
        assert {title: a.errors for title, a in dashboard.answers.items() if a.errors} == {}
        assert dashboard.answers["Verdicts of runs"].row_count > 0


def test_the_viewer_explores_a_chart(viewer):
    chart = next(row for row in everything(viewer, "chart") if row["slice_name"] == "Verdicts of runs")
    with viewer.page.expect_response(re.compile(r"/api/v1/chart/data")) as answer:
        viewer.page.goto(f"{viewer.url}{chart['url']}")
    assert answer.value.ok


@pytest.mark.parametrize("kind", ["chart", "dashboard", "dataset", "database"])
def test_the_viewer_may_change_nothing(viewer, kind):
    number = everything(viewer, kind)[0]["id"]
    assert viewer.send("PUT", f"{kind}/{number}", {}).status == 403
    assert viewer.send("DELETE", f"{kind}/{number}", {}).status == 403
    assert viewer.send("POST", f"{kind}/", {}).status == 403


def test_the_viewer_sees_nothing_of_the_administration(viewer, admin):
    for path in ("security/users/", "security/roles/", "log/", "rowlevelsecurity/"):
        assert viewer.page.request.get(f"{viewer.url}/api/v1/{path}").status == 403, path
    menus = {
        superset: {item["name"] for item in superset.get("menu/")["result"]} for superset in (viewer, admin)
    }
    assert "Security" in menus[admin]
    assert menus[viewer] == {"Dashboards", "Charts", "SQL Lab"}
    assert "List Users" in settings_menu(admin)
    assert not {"Security", "List Users", "List Roles", "Action Log"} & set(settings_menu(viewer))


def settings_menu(superset):
    """The entries of the menu at the right end, opened."""
    superset.page.goto(f"{superset.url}/superset/welcome/")
    superset.page.get_by_text("Settings", exact=True).hover()
    superset.page.get_by_text("Logout").wait_for()
    return superset.page.locator(".ant-menu-submenu-popup").last.inner_text().splitlines()


@both
def test_the_queries_of_the_guides_are_saved_queries(either):
    wanted = {query.label: query.sql for query in guide_queries.read_queries()}
    assert {row["label"]: row["sql"] for row in everything(either, "saved_query")} == wanted


def test_the_viewer_runs_a_saved_query_and_downloads_its_answer(viewer):
    page = viewer.page
    page.set_viewport_size({"width": 1500, "height": 1000})
    page.goto(f"{viewer.url}/savedqueryview/list/")
    page.get_by_role("link", name="Which jobs are unhealthy?").click()
    run = page.get_by_role("button", name=re.compile(r"\bRun$"))
    run.wait_for()
    page.get_by_text("kpi.daily_job_health").first.wait_for()
    with page.expect_response(re.compile(r"/api/v1/sqllab/execute/")) as answer:
        run.click()
    answer = answer.value.json()
    assert answer["status"] == "success", answer
    assert {row["job_name"] for row in answer["data"]} == {"e2e-aws-4.8", "e2e-gcp-4.8"}
    page.get_by_text("e2e-aws-4.8").first.wait_for()
    page.screenshot(path=PICTURES / "saved-query.png")
    client_id = answer["query"]["id"]
    download = page.request.get(f"{viewer.url}/api/v1/sqllab/export/{client_id}/")
    assert download.status == 200
    assert download.text().lstrip("\ufeff").splitlines()[0] == "job_name,run_count,pass_ratio"


@pytest.mark.parametrize(
    ("own", "of_editor", "job_count"),
    [
        ("", {}, 2),
        ("limit 1", {}, 1),
        ("limit 1", {"queryLimit": 1000}, 1),
        ("limit 1000", {"queryLimit": 1}, 1),
        ("limit 1000", {"queryLimit": 1000}, 2),
    ],
)
def test_the_smaller_limit_of_a_statement_and_its_editor_holds(viewer, own, of_editor, job_count):
    database = everything(viewer, "database")[0]["id"]
    asked = {"database_id": database, "sql": f"select job_name from core.ci_jobs {own}"} | of_editor
    assert len(viewer.send("POST", "sqllab/execute/", asked).json()["data"]) == job_count


@pytest.mark.parametrize("statement", ["create schema mine", "delete from kpi.daily_job_health"])
def test_sql_lab_only_reads(viewer, statement):
    database = everything(viewer, "database")[0]["id"]
    answer = viewer.send("POST", "sqllab/execute/", {"database_id": database, "sql": statement})
    assert answer.status >= 400, answer.text()


def test_a_new_user_finds_the_saved_queries(admin):
    roles = {row["name"]: row["id"] for row in everything(admin, "security/roles")}
    person = {"username": "ada", "first_name": "Ada", "last_name": "L", "email": "ada@localhost"}
    person |= {"password": "a long word for a test", "active": True, "roles": [roles[viewer_role.VIEWER]]}
    made = admin.send("POST", "security/users/", person)
    assert made.status == 201, made.text()
    try:
        with open_other_page(admin.page) as page:
            ada = Superset(page, {"CILAKE_SUPERSET_URL": admin.url}, "ada", person["password"])
            found = {row["label"] for row in everything(ada, "saved_query")}
            assert found == {query.label for query in guide_queries.read_queries()}
    finally:
        assert admin.send("DELETE", f"security/users/{made.json()['id']}").ok


def test_an_import_leaves_alone_what_people_made_and_overwrites_ours(
    viewer, admin, layout, settings, tmp_path
):
    dataset = everything(admin, "dataset")[0]["id"]
    chart = {"slice_name": "A chart of mine", "viz_type": "table", "params": "{}"}
    chart |= {"datasource_id": dataset, "datasource_type": "table"}
    database = everything(viewer, "database")[0]["id"]
    query = {"label": "A query of mine", "sql": "select 42", "db_id": database}
    ours = {row["label"]: row["id"] for row in everything(viewer, "saved_query")}
    changed = viewer.send("PUT", f"saved_query/{ours['Which jobs are unhealthy?']}", {"sql": "select 1"})
    assert changed.ok, changed.text()
    made = {
        f"chart/{admin.send('POST', 'chart/', chart).json()['id']}": admin,
        f"dashboard/{admin.send('POST', 'dashboard/', {'dashboard_title': 'Mine'}).json()['id']}": admin,
        f"saved_query/{viewer.send('POST', 'saved_query/', query).json()['id']}": viewer,
    }
    before = {path: superset.get(path)["result"] for path, superset in made.items()}
    try:
        # The guides as they are after an edit: one query less, one more.
        for guide in guide_queries.GUIDES:
            (tmp_path / guide).parent.mkdir(exist_ok=True)
            shutil.copy(REPO / guide, tmp_path / guide)
        page = tmp_path / "README.md"
        text = page.read_text().replace("Were the predictions any good, next to the baselines?", OTHER_LABEL)
        page.write_text(text)
        superset_stack.import_dashboards(layout, settings, guides=tmp_path)
        wanted = {q.label: q.sql for q in guide_queries.read_queries(tmp_path)} | {
            query["label"]: query["sql"]
        }
        assert OTHER_LABEL in wanted
        assert {row["label"]: row["sql"] for row in everything(viewer, "saved_query")} == wanted
        superset_stack.import_dashboards(layout, settings)
        after = {path: superset.get(path)["result"] for path, superset in made.items()}
        assert [without_ages(row) for row in after.values()] == [without_ages(row) for row in before.values()]
        kept = {row["label"]: row["id"] for row in everything(viewer, "saved_query")}
        wanted = {q.label for q in guide_queries.read_queries()}
        assert set(kept) == wanted | {query["label"]}
        stayed = set(ours) & set(kept) - {"Were the predictions any good, next to the baselines?"}
        assert {label: kept[label] for label in stayed} == {label: ours[label] for label in stayed}
    finally:
        for path, superset in made.items():
            assert superset.send("DELETE", path).ok


def without_ages(row):
    return {name: value for name, value in row.items() if "humanized" not in name}


def test_a_repeated_preparation_repairs_the_role_and_keeps_the_roles_of_people(admin, layout, settings):
    roles = {row["name"]: row["id"] for row in everything(admin, "security/roles")}
    path = f"security/roles/{roles[viewer_role.VIEWER]}/permissions"
    held = {row["id"]: row for row in admin.get(f"{path}/")["result"]}
    names = {(row["permission_name"], row["view_menu_name"]) for row in held.values()}
    wanted = {(name, view) for view, found in viewer_role.PERMISSIONS.items() for name in found}
    assert {name for name, _ in names - wanted} == {"database_access"}
    viewer_id = next(row["id"] for row in everything(admin, "security/users") if row["username"] == "viewer")
    both_roles = [roles["Gamma"], roles[viewer_role.VIEWER]]
    assert admin.send("PUT", f"security/users/{viewer_id}", {"roles": both_roles}).ok
    lost = next(number for number, row in held.items() if row["view_menu_name"] == "SavedQuery")
    assert admin.send("POST", path, {"permission_view_menu_ids": sorted(set(held) - {lost})}).ok
    assert len(admin.get(f"{path}/")["result"]) == len(held) - 1
    superset_stack.forget(layout)
    superset_stack.prepare(layout, settings)
    assert {row["id"] for row in admin.get(f"{path}/")["result"]} == set(held)
    found = admin.get(f"security/users/{viewer_id}")["result"]["roles"]
    assert sorted(role["id"] for role in found) == sorted(both_roles)
    assert admin.send("PUT", f"security/users/{viewer_id}", {"roles": [roles[viewer_role.VIEWER]]}).ok
