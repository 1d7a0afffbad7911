"""The pages that the plugin mounts: what they show, to whom, and what they refuse."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.airflow


@pytest.fixture
def folders(tmp_path, monkeypatch):
    docs, tables = tmp_path / "data-docs", tmp_path / "tables"
    (tables / "core").mkdir(parents=True)
    docs.mkdir()
    (docs / "index.html").write_text("<h1>Data quality</h1>")
    (docs / "core.tests.html").write_text("<h1>Tests</h1>")
    (docs / "core.tests.json").write_text("{}")
    (tables / "README.md").write_text("# Tables\n\n| table |\n| --- |\n| [core.tests](core/tests.md) |\n")
    (tables / "core" / "tests.md").write_text(
        "# Tests\n\n<!-- Generated. -->\n\n`<script>` <b>x</b>\n\n```mermaid\nflowchart LR\n```\n\nend\n"
    )
    (tmp_path / "secret.md").write_text("secret")
    (tables / "core" / "linked.md").symlink_to(tmp_path / "secret.md")
    (docs / "core.linked.html").symlink_to(tmp_path / "secret.md")
    monkeypatch.setenv("CILAKE_DATA_DOCS", str(docs))
    monkeypatch.setenv("CILAKE_TABLE_PAGES", str(tables))


@pytest.fixture
def app(folders):
    from tests.support.airflow_session import migrated

    migrated()
    from airflow.api_fastapi.app import create_auth_manager

    from cilake_airflow.pages import make_pages

    create_auth_manager()
    return make_pages()


@pytest.fixture
def anybody(app):
    from fastapi.testclient import TestClient

    return TestClient(app, follow_redirects=False)


@pytest.fixture
def reader(app, anybody):
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user

    app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="v", role="viewer")
    return anybody


def test_data_docs_are_shown_as_they_are(reader):
    assert reader.get("/data-docs/index.html").text == "<h1>Data quality</h1>"
    answer = reader.get("/data-docs/core.tests.html")
    assert (answer.status_code, answer.text) == (200, "<h1>Tests</h1>")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script" not in answer.headers["content-security-policy"]


def test_table_pages_are_rendered(reader):
    index = reader.get("/tables/README.md").text
    assert "<title>Tables</title>" in index
    assert '<a href="core/tests.md">core.tests</a>' in index
    assert '<a href="/" target="_top">Airflow</a> · <a href="README.md">Tables</a>' in index
    page = reader.get("/tables/core/tests.md").text
    assert "<title>core.tests</title>" in page
    assert "<h1>Tests</h1>" in page
    assert '<a href="../README.md">Tables</a>' in page
    assert "../../data-docs/core.tests.html" in page
    for absent in ("Generated", "flowchart", "<script>", "<b>x</b>"):
        assert absent not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<p>end</p>" in page


@pytest.mark.parametrize(
    "path",
    [
        "/data-docs/../secret.md",
        "/data-docs/%2e%2e%2fsecret.md",
        "/data-docs/core.tests.json",
        "/data-docs/core.linked.html",
        "/data-docs/core.nothing.html",
        "/tables/../secret.md",
        "/tables/%2e%2e/secret.md",
        "/tables/core/%2e%2e/%2e%2e/secret.md",
        "/tables/..%5csecret.md",
        "/tables//etc/passwd",
        "/tables/core/linked.md",
        "/tables/core/tests.md%00",
    ],
)
def test_nothing_else_is_shown(reader, path):
    answer = reader.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_the_shipped_dictionary_is_all_readable(reader, monkeypatch):
    from cilake.contracts.registry import tables
    from cilake_airflow.settings import TABLE_PAGES

    monkeypatch.setenv("CILAKE_TABLE_PAGES", str(TABLE_PAGES))
    names = ["README", "columns", *(address.replace(".", "/") for address in tables())]
    assert {reader.get(f"/tables/{name}.md").status_code for name in names} == {200}


def test_without_a_session_nothing_is_shown(anybody):
    for path in ("/data-docs/index.html", "/tables/README.md"):
        assert anybody.get(path).status_code == 401
        answer = anybody.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 307
        assert answer.headers["location"].startswith("/api/v2/auth/login?next=")
    assert anybody.get("/openapi.json").status_code == 404


def test_without_settings_nothing_is_there(reader, monkeypatch):
    monkeypatch.setenv("CILAKE_DATA_DOCS", "")
    assert reader.get("/data-docs/index.html").status_code == 404


def test_data_docs_elsewhere_are_sent_for(reader, monkeypatch):
    monkeypatch.setenv("CILAKE_DATA_DOCS", "https://docs.example/lake/")
    answer = reader.get("/data-docs/core.tests.html")
    assert answer.headers["location"] == "https://docs.example/lake/core.tests.html"
    assert reader.get("/data-docs/x").status_code == 404
