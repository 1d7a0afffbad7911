"""Our pages on Airflow's web server: the data docs of the validations and the pages of the tables.

Airflow does not guard what a plugin mounts, so every route here requires a user of this Airflow who may see
its website. The pages are read-only files without secrets, but they show names and example rows of tests.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markdown_it import MarkdownIt  # comes with Rich, which Airflow itself needs

from cilake_airflow import addresses
from cilake_airflow.settings import read_settings

# Names are matched, not cleaned: whatever else a path holds, `..` or an escaped slash, is no page.
DATA_DOC = re.compile(r"index\.html|[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\.html")
TABLE_PAGE = re.compile(r"(README|columns)\.md|[a-z][a-z0-9_]*/[a-z][a-z0-9_]*\.md")
NOT_SHOWN = re.compile(r"<!--.*?-->\n?|```mermaid\n.*?```\n?", re.DOTALL)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # The pages bring their style and nothing else; Airflow's menu shows them in a frame.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; "
    "base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { border-bottom: 1px solid #ddd; padding: .4rem .6rem;
text-align: left; vertical-align: top }
code, pre { font-size: 13px; overflow-wrap: anywhere; white-space: pre-wrap }
"""


def make_pages() -> FastAPI:
    """Return the application to mount under ``addresses.PREFIX``."""
    guard = Depends(requires_access_view(AccessView.WEBSITE))
    app = FastAPI(title="cilake", dependencies=[guard], openapi_url=None, docs_url=None, redoc_url=None)
    app.middleware("http")(_add_headers)
    app.exception_handler(HTTPException)(_ask_for_login)
    app.get("/data-docs/{name}")(show_data_doc)
    app.get("/tables/{name:path}")(show_table_page)
    return app


def show_data_doc(name: str) -> Response:
    """Return the page as the last check wrote it."""
    settings = read_settings()
    if settings.data_docs_elsewhere and DATA_DOC.fullmatch(name):
        return RedirectResponse(f"{settings.data_docs.rstrip('/')}/{name}")
    text = _read(settings.data_docs, name, DATA_DOC)
    if text is None:
        return _html("No such page", "<p>The first check of a table writes its page.</p>", status=404)
    return HTMLResponse(text)


def show_table_page(name: str) -> Response:
    """Return the page of the data dictionary, as HTML."""
    text = _read(read_settings().table_pages, name, TABLE_PAGE)
    if text is None:
        return _html("No such page", "<p>The data dictionary has no such page.</p>", status=404)
    # Raw HTML stays text: a page quotes names and patterns that come from outside.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = markdown.render(NOT_SHOWN.sub("", text))
    namespace, slash, table = name.removesuffix(".md").partition("/")
    up = "../" if slash else ""
    links = [
        # Airflow's menu shows the page in a frame: this one leads out of it.
        f'<a href="{addresses.airflow_path("/")}" target="_top">Airflow</a>',
        f'<a href="{up}{addresses.TABLES_INDEX}">Tables</a>',
        f'<a href="{up}columns.md">Columns</a>',
    ]
    if slash:
        links.append(f'<a href="../../data-docs/{namespace}.{table}.html">Last validation</a>')
    title = f"{namespace}.{table}" if slash else text.partition("\n")[0].removeprefix("# ")
    return _html(title, f"<p>{' · '.join(links)}</p>{body}")


def _read(folder: str, name: str, allowed: re.Pattern[str]) -> str | None:
    """Return the text of the file, or nothing when it is no page of ours."""
    if not folder or not allowed.fullmatch(name):
        return None
    root = Path(folder).resolve()
    path = (root / name).resolve()  # a link that leads out of the folder is no page either
    if not path.is_relative_to(root) or not path.is_file():
        return None
    return path.read_text(encoding="utf-8")


def _html(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    page = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'
    return HTMLResponse(page, status_code=status)


async def _add_headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answer(request)
    response.headers.update(HEADERS)
    return response


async def _ask_for_login(request: Request, error: Exception) -> Response:
    """Send a browser without a session to the login and back; programs get the plain refusal."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
        query = urlencode({"next": addresses.airflow_address(request.scope["path"])})
        return RedirectResponse(f"{addresses.airflow_path('/api/v2/auth/login')}?{query}")
    return await http_exception_handler(request, error)
