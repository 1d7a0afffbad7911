"""A login to Trino travels over TLS to the server that the certificate names, and is not in an error."""

import base64
import json
import shutil
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from deploy.local.commands import env

import cilake
from cilake.cli import main
from cilake.client.statement import ask

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")

ANSWER = {
    "id": "1",
    "infoUri": "https://localhost/1",
    "stats": {"state": "FINISHED"},
    "warnings": [],
    "columns": [{"name": "one", "type": "integer", "typeSignature": {"rawType": "integer", "arguments": []}}],
    "data": [[1]],
}


class Server(BaseHTTPRequestHandler):
    """A server of one statement to whoever has the right login."""

    def do_POST(self):
        given = self.headers.get("Authorization", "")
        login = base64.b64encode(b"reader:open sesame").decode()
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200 if given == f"Basic {login}" else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def trino_url(tmp_path, monkeypatch):
    env._make_certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "trino" / "server.pem")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()


@pytest.fixture
def certificate(trino_url, tmp_path):
    return str(tmp_path / "trino.crt")


def test_a_login_is_sent(trino_url, certificate):
    with ask(trino_url, "select 1", user="reader", password="open sesame", ca=certificate) as (
        columns,
        pages,
    ):
        assert (columns, list(pages)) == ([("one", "integer")], [[[1]]])


def test_a_wrong_login_is_refused_in_one_line_without_it(trino_url, certificate):
    with (
        pytest.raises(cilake.LakeError, match="refuses the user reader: error 401") as caught,
        ask(trino_url, "select 1", user="reader", password="open sodium", ca=certificate),
    ):
        pass
    assert trino_url in str(caught.value)
    assert "sodium" not in str(caught.value)


def test_a_server_whose_certificate_nobody_signed_is_not_told_the_login(trino_url):
    with (
        pytest.raises(cilake.LakeError, match=r"signed by nobody known here: CILAKE_TRINO_CA") as caught,
        ask(trino_url, "select 1", user="reader", password="open sesame"),
    ):
        pass
    assert "sesame" not in str(caught.value)


def test_a_login_is_not_sent_in_the_open():
    with (
        pytest.raises(cilake.LakeError, match="sent over TLS only") as caught,
        ask("http://localhost:1", "select 1", user="reader", password="open sesame"),
    ):
        pass
    assert "sesame" not in str(caught.value)


def test_a_certificate_that_is_not_there_is_named(trino_url, tmp_path):
    with (
        pytest.raises(cilake.LakeError, match=r"no certificate .*absent\.crt, which CILAKE_TRINO_CA names"),
        ask(trino_url, "select 1", user="reader", password="x", ca=str(tmp_path / "absent.crt")),
    ):
        pass


def test_the_command_logs_in_with_the_file_that_readers_are_given(trino_url, tmp_path, monkeypatch, capsys):
    """``reader.env`` and the certificate are handed out together and may lie anywhere."""
    monkeypatch.chdir(tmp_path.parent)
    lines = [f"CILAKE_TRINO_URL={trino_url}", "CILAKE_TRINO_USER=reader", "CILAKE_TRINO_PASSWORD=open sesame"]
    (tmp_path / "reader.env").write_text("\n".join([*lines, "CILAKE_TRINO_CA=trino.crt\n"]))
    assert main(["sql", "--settings", str(tmp_path / "reader.env"), "select 1 as one"]) == 0
    assert capsys.readouterr().out == "one\n1\n"
