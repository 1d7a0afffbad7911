"""What Superset is given, judged without a Superset: queries of the guides, start page, addresses."""

from __future__ import annotations

import copy
import importlib
import re

import pytest
import sqlalchemy
import yaml
from deploy.local.layout import REPO
from deploy.superset import guide_queries
from sqlalchemy.orm import Session

DASHBOARDS = {
    found["slug"]: found
    for found in (
        yaml.safe_load(path.read_text()) for path in (REPO / "dashboards/dashboards").glob("*.yaml")
    )
}
CHARTS = {yaml.safe_load(path.read_text())["uuid"] for path in (REPO / "dashboards/charts").rglob("*.yaml")}


@pytest.fixture
def assets(monkeypatch):
    """The module as Superset's Python finds it: by its own folder."""
    monkeypatch.syspath_prepend(str(REPO / "deploy" / "superset"))
    return importlib.import_module("assets")


def test_every_sql_block_of_the_guides_is_a_query_with_a_label():
    queries = guide_queries.read_queries()
    blocks = sum((REPO / guide).read_text().count("```sql\n") for guide in guide_queries.GUIDES)
    assert len(queries) == blocks > 4
    assert all(10 < len(query.label) < 120 and query.sql.startswith(("select", "with")) for query in queries)


def test_the_label_is_the_last_sentence_above_the_block():
    text = "# Head\n\nOne. Which\njob is worst:\n\n```sql\nselect 1\n\nfrom a\n```\n\n"
    text += "Why?\n\n```sql\nselect 2\n```\n"
    found = [(query.label, query.sql) for query in guide_queries.parse("page.md", text)]
    assert found == [("Which job is worst", "select 1\n\nfrom a"), ("Why?", "select 2")]


def test_a_block_without_a_sentence_is_refused_with_its_line():
    with pytest.raises(ValueError, match=r"page\.md, line 3: .*write its question"):
        guide_queries.parse("page.md", "# Head\n\n```sql\nselect 1\n```\n")


def test_two_blocks_under_one_sentence_are_refused(tmp_path):
    (tmp_path / "docs").mkdir()
    for guide in guide_queries.GUIDES:
        (tmp_path / guide).write_text("Why?\n\n```sql\nselect 1\n```\n")
    with pytest.raises(ValueError, match="a second SQL block under 'Why\\?'"):
        guide_queries.read_queries(tmp_path)


def test_the_image_of_superset_holds_the_guides():
    image = (
        (REPO / "deploy/images/Dockerfile").read_text().partition(" AS superset\n")[2].partition("\nFROM ")[0]
    )
    copied = set(re.findall(r"^COPY (\S+) \1$", image, re.MULTILINE))
    assert {*guide_queries.GUIDES, "dashboards", "deploy/superset"} <= copied


def test_the_start_page_leads_to_every_other_dashboard():
    text = " ".join(part["meta"]["code"] for part in of_type("start", "MARKDOWN"))
    linked = set(re.findall(r"\]\(/superset/dashboard/([\w-]+)/\)", text))
    assert linked == set(DASHBOARDS) - {"start"}
    assert "](/sqllab/)" in text and "](/savedqueryview/list/)" in text


@pytest.mark.parametrize("path", sorted((REPO / "dashboards/datasets").rglob("*.yaml")), ids=lambda p: p.stem)
def test_the_parts_of_a_dataset_are_in_order(assets, path):
    dataset = yaml.safe_load(path.read_text())
    ordered = copy.deepcopy(dataset)
    assets.order_parts(ordered)
    assert ordered == dataset, "order_parts says how; `make dashboards-export` writes them so"


def test_every_file_is_where_an_export_writes_it(assets):
    folder = REPO / "dashboards"
    folders = assets.chart_folders(DASHBOARDS.values())
    for kind in assets.KINDS:
        for path in sorted((folder / kind).rglob("*.yaml")):
            asset = yaml.safe_load(path.read_text())
            assert path == folder / assets.address(kind, path.name, asset, folders)


def test_a_chart_is_filed_with_its_dashboard_those_on_several_together_others_beside(assets):
    def board(slug, *charts):
        position = {f"CHART-{uuid}": {"type": "CHART", "meta": {"uuid": uuid}} for uuid in charts}
        return {"slug": slug, "dashboard_title": "Its title", "position": position | {"V": "v2"}}

    folders = assets.chart_folders([board("ci-health", "a", "b"), board(None, "b", "c", "c")])
    assert folders == {"a": "ci_health", "b": "shared", "c": "its_title"}
    for uuid, path in (("a", "charts/ci_health/x_y.yaml"), ("none", "charts/x_y.yaml")):
        assert assets.address("charts", "", {"uuid": uuid, "slice_name": "X: y"}, folders) == path


@pytest.mark.parametrize("slug", sorted(DASHBOARDS))
def test_dashboards_are_published_and_show_charts_of_the_files(slug):
    # Without a chart nobody but its owner sees a dashboard in Superset.
    charts = {part["meta"]["uuid"] for part in of_type(slug, "CHART")}
    assert charts and charts <= CHARTS
    assert DASHBOARDS[slug]["published"] is True


def of_type(slug, kind):
    parts = DASHBOARDS[slug]["position"].values()
    return [part for part in parts if isinstance(part, dict) and part["type"] == kind]


def test_addresses_are_put_in_and_taken_out_again(assets):
    here = {
        "CILAKE_AIRFLOW_URL": "http://127.0.0.1:18488/",
        "CILAKE_SUPERSET_TRINO_URI": "trino://a@b:1/lake",
    }
    text = (
        "- '[all tables](http://airflow:8080/cilake/tables/README.md) '\n- trino://superset@trino:8080/lake\n"
    )
    put_in = assets.with_addresses(text, here)
    assert "(http://127.0.0.1:18488/cilake/tables/README.md)" in put_in and "trino://a@b:1/lake" in put_in
    assert assets.without_addresses(yaml.safe_load(put_in), here) == yaml.safe_load(text)


def test_the_memory_of_an_import_is_in_the_database_and_is_replaced(tmp_path, assets):
    imported = importlib.import_module("imported")
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/superset.db")
    with Session(engine) as session:
        assert imported.read(session) == {}
        imported.keep(session, {"dashboards": "one", "assets": "a\nb"})
        imported.keep(session, {"dashboards": "two"})
    with Session(engine) as session:
        assert imported.read(session) == {"dashboards": "two", "assets": "a\nb"}


def test_files_differ_by_name_text_and_shown_address_but_not_by_the_login_to_trino(assets):
    files = {"charts/a.yaml": "x: 1\n", "dashboards/b.yaml": "[t](http://airflow:8080/x)\n"}
    files["databases/lake.yaml"] = "sqlalchemy_uri: trino://superset@trino:8080/lake\n"
    here = {"CILAKE_AIRFLOW_URL": "http://here", "CILAKE_SUPERSET_TRINO_URI": "trino://a:one@b:1/lake"}
    same = assets.files_digest(files, here)
    assert same == assets.files_digest(dict(reversed(files.items())), here)
    assert same == assets.files_digest(files, here | {"CILAKE_SUPERSET_TRINO_URI": "trino://a:two@b:1/lake"})
    others = [
        assets.files_digest(files | {"charts/a.yaml": "x: 2\n"}, here),
        assets.files_digest({**files, "charts/c.yaml": files["charts/a.yaml"]}, here),
        assets.files_digest(files, here | {"CILAKE_AIRFLOW_URL": "http://there"}),
    ]
    assert len({same, *others}) == 4


def test_links_to_an_airflow_that_is_not_known_are_text(assets):
    start = (REPO / "dashboards/dashboards/start.yaml").read_text()
    assert "](http://airflow:8080/cilake/tables/" in start
    left_out = assets.with_addresses(start, {})
    assert "airflow:8080" not in left_out and "All tables, " in left_out


def test_markdown_is_written_line_by_line(assets):
    asset = {"meta": {"code": "one\n\n| two |\n"}}
    assert yaml.safe_dump(assets.clean(asset)) == "meta:\n  code: |\n    one\n\n    | two |\n"


def test_the_viewer_may_write_only_what_is_its_own():
    viewer_role = importlib.import_module("deploy.superset.viewer_role")
    writable = {view for view, names in viewer_role.PERMISSIONS.items() if "can_write" in names}
    assert writable == {
        "DashboardFilterStateRestApi",
        "DashboardPermalinkRestApi",
        "ExploreFormDataRestApi",
        "ExplorePermalinkRestApi",
        "SavedQuery",
        "SqlLabPermalinkRestApi",
    }
    assert not {"Security", "List Users", "List Roles", "User", "Role"} & set(viewer_role.PERMISSIONS)
