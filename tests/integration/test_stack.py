"""The embedded stack on free ports: it comes up, responds, heals, refuses clearly and leaves nothing."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from pyarrow.fs import S3FileSystem
from tests.support.temporary_stack import TemporaryStack

pytestmark = pytest.mark.integration


def processes(stack):
    """The command lines of every process whose command or environment names this stack's home."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
            marked = f"CILAKE_HOME={stack.home}".encode() in (path.parent / "environ").read_bytes()
        except OSError:
            continue
        if str(stack.home) in line or marked:
            found.append(line)
    return found


def test_sql_prints_csv_with_a_header_and_nothing_else(stack):
    done = stack("sql", Q="select 1 as one, null as nothing, 'a,b' as text")
    assert (done.returncode, done.stdout) == (0, 'one,nothing,text\n1,,"a,b"\n')


def test_sql_tells_an_error_in_one_line(stack):
    done = stack("sql", Q="select * from core.no_such_table")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "no_such_table" in done.stderr


def test_the_tables_are_there_and_read_only(stack):
    done = stack("sql", Q="select count(*) as rows from ops.quarantine")
    assert (done.returncode, done.stdout) == (0, "rows\n0\n")
    assert "Access Denied" in stack("sql", Q="create schema lake.mine").stderr


def test_urls_name_the_file_that_holds_the_password(stack):
    rows = {row["service"]: row for row in json.loads(stack("urls", "--json").stdout)}
    assert rows["Trino"]["url"] == f"http://127.0.0.1:{stack.ports['TRINO']}"
    password_file = Path(rows["Airflow"]["password_file"])
    assert password_file.stat().st_mode & 0o077 == 0
    assert json.loads(password_file.read_text())["admin"]
    users = {row["user"]: row for row in rows.values() if row["service"].startswith("Superset")}
    assert set(users) == {"viewer", "admin"}
    assert "(CILAKE_SUPERSET_VIEWER_PASSWORD)" in users["viewer"]["password_file"]


def test_no_secret_is_on_a_command_line(stack):
    secrets = [v for k, v in stack.settings.items() if k.endswith(("PASSWORD", "SECRET", "TOKEN", "_KEY"))]
    assert len(secrets) >= 8
    lines = "\n".join(processes(stack))
    assert lines
    assert not [secret for secret in secrets if secret in lines]


def test_the_readers_key_reads_and_cannot_write(stack):
    settings = stack.settings

    def storage(prefix):
        return S3FileSystem(
            access_key=settings[f"{prefix}_ACCESS_KEY"],
            secret_key=settings[f"{prefix}_SECRET_KEY"],
            endpoint_override=settings["CILAKE_S3_ENDPOINT"],
            region=settings["CILAKE_S3_REGION"],
        )

    def write(storage, path):
        with storage.open_output_stream(path) as stream:
            stream.write(b"x")

    writer, reader = storage("CILAKE_S3"), storage("CILAKE_S3_READER")
    write(writer, "lake/probe")
    assert reader.open_input_stream("lake/probe").read() == b"x"
    for refused in (
        lambda: write(reader, "lake/probe"),
        lambda: write(reader, "lake/other"),
        lambda: reader.delete_file("lake/probe"),
    ):
        with pytest.raises(OSError, match=r"ACCESS_DENIED|AccessDenied|Access Denied"):
            refused()
    assert writer.open_input_stream("lake/probe").read() == b"x"
    writer.delete_file("lake/probe")


def test_a_killed_service_comes_back(stack):
    rows = [line.split() for line in stack("status").stdout.splitlines()]
    os.kill(next(int(row[-1]) for row in rows if row[0] == "s3"), signal.SIGKILL)
    deadline = time.monotonic() + 120
    while stack("status").returncode != 0:
        assert time.monotonic() < deadline, stack("status").stdout
    assert stack("sql", Q="select 1 as one").stdout == "one\n1\n"


def test_a_taken_port_is_named_with_its_setting(tmp_path):
    other = TemporaryStack(tmp_path / "home")
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", other.ports["POSTGRES"]))
        squatter.listen()
        done = other("up", "--only", "postgres")
    other("clean")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"port {other.ports['POSTGRES']}" in last
    assert "CILAKE_PORT_POSTGRES" in last


def test_after_a_kill_of_the_supervisors_up_works_and_down_leaves_nothing(tmp_path):
    stack = TemporaryStack(tmp_path / "home")
    try:
        for attempt in ("first", "after the kill"):
            done = stack("up", "--only", "s3,postgres")
            assert done.returncode == 0, (attempt, done.stderr)
            assert processes(stack)
            if attempt == "first":
                for name in ("keeper.pid", "supervisord.pid"):
                    os.kill(int((stack.home / "run" / name).read_text().split()[0]), signal.SIGKILL)
        done = stack("down")
        assert done.returncode == 0, done.stderr
        assert processes(stack) == []
    finally:
        stack("clean")
