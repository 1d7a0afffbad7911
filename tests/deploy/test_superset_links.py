"""Links in Superset: an anchor on a page, a plain address in a file, and never what is no address."""

import importlib.util

import duckdb
import pytest
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
