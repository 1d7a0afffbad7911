"""Tests by name."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.ci import TEST_KEY, TEST_NAME

TABLE = Table(
    address="core.tests",
    title="Tests",
    grain="One row per distinct test name.",
    description="The dimension of test names that have results; facts carry only the key. Names are kept exactly as served: "
    "outer blanks and case distinguish tests.",
    columns=(
        TEST_KEY,
        TEST_NAME,
        Column(
            "is_verdict",
            "boolean",
            "The row is no test: TestGrid made it to show the verdict of a whole run or of its pod.",
            example=False,
        ),
    ),
    primary_key=("test_key",),
    write_mode="merge",
    made_by="build_core_ci",
    freshness_hours=36,
    shown_on="ci-health",
    caveats=(
        "`Overall`, `Pod`, `<job>.Overall` and `<job>.Pod` are verdicts that TestGrid adds, not tests; what could be a "
        "job's name before the dot (letters, digits, `.`, `_`, `-`) is taken for one: "
        "counts of tests, ratios and predictions leave them out; in queries of your own, so does `not is_verdict`.",
    ),
    example_query="select test_name from core.tests where not is_verdict and test_name like '%etcd%' limit 20",
)
