"""Empty lakes in folders, in which payloads are built."""

from contextlib import ExitStack

import pytest
from tests.support.lake_session import local_lake


@pytest.fixture
def new_lake(spark, tmp_path_factory, monkeypatch):
    """Open another empty lake."""
    with ExitStack() as stack:

        def opened():
            folder = tmp_path_factory.mktemp("lake") / "lake"
            return stack.enter_context(local_lake(spark, folder, monkeypatch))

        yield opened


@pytest.fixture
def lake(new_lake):
    return new_lake()
