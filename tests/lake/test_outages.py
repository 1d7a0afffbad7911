"""A service of the lake that is down is one line with its address, its setting and the way out."""

import socket

import pytest
import sqlalchemy
from pyiceberg.exceptions import CommitFailedException
from pyspark.errors.exceptions.connect import SparkConnectException

from cilake import cli
from cilake.lake import outages
from cilake.lake.outages import find_outage
from cilake.settings import Settings

ERROR = OSError("When reading\nmany lines")


@pytest.fixture
def closed():
    """A port that nobody listens on: bound, so that nobody else takes it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "form", "shown"),
    [
        (
            "catalog_uri",
            "postgresql://iceberg:secret@127.0.0.1:{}/iceberg",
            "the catalog's database at postgresql",
        ),
        ("s3_endpoint", "http://127.0.0.1:{}", "the object store at http"),
        ("spark_remote", "sc://127.0.0.1:{}/;token=secret", "the Spark Connect server at sc"),
    ],
)
def test_the_service_that_is_down_is_named(closed, listening, name, form, shown):
    up = {other: f"http://127.0.0.1:{listening}" for other in ("catalog_uri", "s3_endpoint", "spark_remote")}
    assert find_outage(Settings(**up), ERROR) is None
    outage = find_outage(Settings(**up | {name: form.format(closed)}), ERROR)
    assert str(outage) == (
        f"{shown}://127.0.0.1:{closed} (CILAKE_{name.upper()}) does not respond: connection refused; "
        "start it (`make up` on the embedded stack) and run again (OSError: When reading)"
    )
    assert outage.exit_code == 1


def raised(error, cause=None):
    try:
        raise error from cause
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "args"),
    [
        (
            sqlalchemy.exc.OperationalError("select 1", None, Exception("starting up")),
            "the catalog's database",
        ),
        (
            raised(ValueError("x"), SparkConnectException("[NO_ACTIVE_SESSION] no")),
            "the Spark Connect server",
        ),
        (OSError("When reading: AWS Error NETWORK_CONNECTION during HeadObject"), "the object store"),
        (CommitFailedException("Table has been updated by another process: a.b"), "another run changed"),
        (Exception("(…IllegalArgumentException) Cannot use branch (does not exist): audit_x"), "another run"),
    ],
)
def test_a_service_that_is_back_and_another_run_are_told_by_the_error(error, args):
    outage = find_outage(Settings(), error)
    assert str(outage).startswith(args) and "run again" in str(outage)
    assert "\n" not in str(outage)


@pytest.mark.parametrize(
    ("error", "service", "login"),
    [
        (
            sqlalchemy.exc.OperationalError(
                "select 1",
                None,
                Exception('FATAL:  password authentication failed for user "iceberg_reader"'),
            ),
            "the catalog's database at postgresql://db:5432 refuses the login",
            "CILAKE_CATALOG_PASSWORD",
        ),
        (
            OSError(
                "When reading information for key 'a': AWS Error ACCESS_DENIED during HeadObject operation"
            ),
            "the object store at http://s3:8333 refuses the login",
            "CILAKE_S3_SECRET_KEY",
        ),
    ],
    ids=["catalog", "object store"],
)
def test_a_wrong_login_is_no_outage(monkeypatch, error, service, login):
    monkeypatch.setattr(outages, "_problem", lambda address: "")
    found = find_outage(Settings(catalog_uri="postgresql://db:5432/x", s3_endpoint="http://s3:8333"), error)
    assert str(found).startswith(service) and login in str(found) and "run again" not in str(found)
    assert found.exit_code == 2


def test_a_fault_of_the_program_is_none():
    assert find_outage(Settings(), raised(KeyError("x"), OSError("no such file"))) is None


@pytest.mark.parametrize("address", ["", "glue", "sc://local", "http://[::1", "http://x:99999"])
def test_what_is_no_address_of_a_service_explains_nothing(address):
    assert find_outage(Settings(s3_endpoint=address), ERROR) is None


@pytest.mark.parametrize("args", [["build", "core_ci", "--start", "2021-06-21"], ["bootstrap"], ["tables"]])
def test_the_command_line_says_it_in_one_line(closed, monkeypatch, capsys, args):
    monkeypatch.setenv("CILAKE_CATALOG_URI", f"postgresql://127.0.0.1:{closed}/iceberg")
    monkeypatch.setenv("CILAKE_CATALOG_USER", "iceberg")
    monkeypatch.setenv("CILAKE_CATALOG_PASSWORD", "secret")
    assert cli.main(args) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"cilake: the catalog's database at postgresql://127.0.0.1:{closed} (CILAKE_CATALOG_URI)"
    )
    assert "secret" not in line
