"""Listings of builds of Example CI, verbatim."""

from cilake.contracts.model import Table
from cilake.contracts.vocabulary.payload import payload_columns

TABLE = Table(
    address="raw.example_ci__builds",
    title="Example CI builds, as received",
    grain="One row per changed listing of the builds of one project.",
    description="The decoded body of each reply whose content differs from the last one stored.",
    columns=payload_columns(
        source="example_ci", endpoint="builds", describes="one project", example="compiler"
    ),
    primary_key=("natural_id", "served_at", "content_sha256"),
    write_mode="append",
    partition_by=("partition_date",),
    feeds=("core.tests", "core.ci_jobs", "core.ci_run_observations"),
    made_by="land_example_ci",
    freshness_hours=36,
    may_be_empty=True,
    shown_on="platform-health",
    example_query="select natural_id, served_at, payload_bytes from raw.example_ci__builds "
    "order by served_at desc limit 10",
)
