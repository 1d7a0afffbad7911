"""A landing from a service that a test sets, into a lake without Spark."""

import pytest
from tests.support.lake_session import make_catalog
from tests.support.reply_service import closed_port, reply_service

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
    with reply_service() as made:
        yield made


@pytest.fixture
def closed():
    """The address of a port that nobody listens on."""
    with closed_port() as address:
        yield address
