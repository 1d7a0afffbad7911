"""Links in Superset: an anchor on a page, a plain address in a file, and never what is no address."""

import importlib.util

import duckdb
import pytest
import yaml
from deploy.local.layout import REPO

CONFIG = REPO / "deploy" / "superset" / "superset_config.py"


@pytest.fixture
def link(monkeypatch):
    for name in ("SECRET_KEY", "GUEST_SECRET", "DATABASE_URI"):
        monkeypatch.setenv(f"CILAKE_SUPERSET_{name}", "x")
    spec = importlib.util.spec_from_file_location("superset_config", CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.link


def answer(expression, url, text="7"):
    # DuckDB has the function under another name than Trino.
    query = f"select {expression.replace('regexp_like', 'regexp_matches')} from (select ? as url, ? as text)"
    return duckdb.execute(query, [url, text]).fetchone()[0]


def test_a_page_has_anchors_and_a_file_addresses(link):
    page = "https://ci.example/view/gs/logs/e2e/7?a=1&b=2"
    anchor = f'<a href="{page}" target="_blank" rel="noopener">7</a>'
    assert answer(link("url", "text", "html"), page) == anchor
    assert answer(link("url", "text", "plain"), page) == page
    assert answer(link("url", "text", "plain"), None) == "7"


NO_ADDRESS = [
    None,
    "",
    "javascript:alert(1)",
    'https://x/"><script>',
    "https://x/<b>",
    "ftp://x/y",
    "https://a b",
]


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_is_no_address_is_shown_as_text(link, url):
    assert answer(link("url", "text", "html"), url) == "7"


@pytest.mark.parametrize("url", ["https://ci.example/7", None])
def test_markup_in_the_text_is_shown_and_not_followed(link, url):
    text = '<a href="https://elsewhere.example">run & more</a>'
    shown = answer(link("url", "text", "html"), url, text)
    assert '<a href="https://elsewhere' not in shown
    assert '&lt;a href="https://elsewhere.example">run &amp; more&lt;/a>' in shown
    assert answer(link("url", "text", "plain"), None, text) == text


def test_only_charts_with_links_render_markup():
    """A name that somebody else chose may hold markup: a chart without a link of ours shows it as text."""
    linking = set()
    for path in (REPO / "dashboards" / "datasets").rglob("*.yaml"):
        dataset = yaml.safe_load(path.read_text())
        for column in [*dataset["columns"], *dataset["metrics"]]:
            if "link(" in (column.get("expression") or ""):
                linking.add((dataset["uuid"], column.get("column_name") or column["metric_name"]))
    assert linking
    for path in (REPO / "dashboards" / "charts").rglob("*.yaml"):
        chart = yaml.safe_load(path.read_text())
        params = chart["params"]
        names = [*params.get("all_columns", []), *params.get("groupby", []), *params.get("metrics", [])]
        shows = any((chart["dataset_uuid"], name) in linking for name in names if isinstance(name, str))
        if "allow_render_html" in params or shows:
            assert params["allow_render_html"] is shows, path.name
