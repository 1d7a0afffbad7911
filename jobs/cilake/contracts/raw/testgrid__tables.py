"""Replies of TestGrid's ``table`` endpoint, verbatim."""

from cilake.contracts.model import Table
from cilake.contracts.vocabulary.payload import payload_columns

TABLE = Table(
    address="raw.testgrid__tables",
    title="TestGrid tables, as received",
    grain="One row per changed reply of one tab of a dashboard.",
    description="The decoded body of each reply whose content differs from the last one stored. "
    "What changes on every request (`status`, `phase-timer`, `cached`) does not count as a change.",
    columns=payload_columns(
        source="testgrid",
        endpoint="table",
        describes="one tab of a dashboard",
        example="redhat-openshift-ocp-release-4.8-blocking/e2e-aws",
    ),
    primary_key=("natural_id", "served_at", "content_sha256"),
    write_mode="append",
    partition_by=("partition_date",),
    feeds=("core.tests", "core.ci_jobs", "core.ci_run_observations"),
    made_by="land_testgrid",
    freshness_hours=36,
    shown_on="platform-health",
    caveats=("TestGrid shows a rolling window: one reply repeats the columns of earlier replies.",),
    example_query="select natural_id, served_at, payload_bytes from raw.testgrid__tables order by served_at desc limit 10",
)
