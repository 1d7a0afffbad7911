"""A landing from a service that a test sets, into a lake without Spark."""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote_plus

import pytest
from tests.support.lake_session import make_catalog
from tests.support.landing_service import DATE

from cilake import cli
from cilake.commands import land, leave_out, recorded
from cilake.sources.testgrid import limits


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def run_landing(catalog, monkeypatch, capsys):
    """The exit code and the last line of a landing from the address given."""
    for module in (land, leave_out, recorded):
        monkeypatch.setattr(module, "open_catalog", lambda settings: catalog)
    monkeypatch.setattr(limits, "ATTEMPTS", 2)

    def landed(url, dashboards="*", start="2021-06-21"):
        monkeypatch.setenv("CILAKE_TESTGRID_URL", url)
        monkeypatch.setenv("CILAKE_TESTGRID_DASHBOARDS", dashboards)
        code = cli.main(["land", "testgrid", "--start", start])
        return code, capsys.readouterr().err.splitlines()[-1]

    return landed


@pytest.fixture
def service():
    """The address of a service and its replies by path: status, body."""
    replies = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            tab = unquote_plus(query.rpartition("tab=")[2])
            reply = replies.get(f"{path}#{tab}", replies.get(path, (404, b"")))
            if reply is None:  # the connection is lost
                return
            status, body = reply
            self.send_response_only(status)
            date = replies.get(f"Date{path}#{tab}") or replies.get("Date", DATE)
            self.send_header("Date", date)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", replies
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed():
    """The address of a port that nobody listens on: bound, so that nobody else takes it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
