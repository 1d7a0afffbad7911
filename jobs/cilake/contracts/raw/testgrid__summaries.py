"""Replies of TestGrid's ``summary`` endpoint, verbatim."""

from cilake.contracts.model import Table
from cilake.contracts.vocabulary.payload import payload_columns

TABLE = Table(
    address="raw.testgrid__summaries",
    title="TestGrid summaries, as received",
    grain="One row per changed reply of one dashboard.",
    description="The decoded body of each reply whose content differs from the last one stored. "
    "What changes on every request (`status`, `phase-timer`, `cached`) does not count as a change.",
    columns=payload_columns(
        source="testgrid",
        endpoint="summary",
        describes="one dashboard",
        example="redhat-openshift-ocp-release-4.8-blocking",
    ),
    primary_key=("natural_id", "served_at", "content_sha256"),
    write_mode="append",
    partition_by=("partition_date",),
    made_by="land_testgrid",
    freshness_hours=36,
    shown_on="platform-health",
    caveats=("TestGrid shows a rolling window: one reply repeats the columns of earlier replies.",),
    example_query="select natural_id, served_at, payload_bytes from raw.testgrid__summaries order by served_at desc limit 10",
)
