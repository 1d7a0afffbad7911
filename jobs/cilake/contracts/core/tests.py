"""Tests by name."""

from cilake.contracts.columns import TEST_KEY, TEST_NAME
from cilake.contracts.model import Table

TABLE = Table(
    address="core.tests",
    title="Tests",
    grain="One row per distinct test name.",
    description="The dimension of test names; facts carry only the key. Names are kept exactly as served: "
    "outer blanks and case tell tests apart.",
    columns=(
        TEST_KEY,
        TEST_NAME,
    ),
    primary_key=("test_key",),
    write_mode="merge",
    inputs=("raw.testgrid__tables",),
    made_by="refine_ci",
    freshness_hours=36,
    caveats=("`Overall` and names ending in `.Pod` are made by TestGrid, not by a test suite.",),
    example_query="select test_name from core.tests where test_name like '%etcd%' limit 20",
)
