"""One stack with Spark and Trino for all integration tests, on free ports and gone at the end."""

import pytest
from deploy.local.scratch import scratch_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    with scratch_stack(tmp_path_factory.mktemp("stack") / "home", "spark", "trino") as stack:
        yield stack
