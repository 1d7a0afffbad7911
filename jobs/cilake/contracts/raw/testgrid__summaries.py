"""Replies of TestGrid's ``summary`` endpoint, verbatim."""

from cilake.contracts.columns import LANDING_ID
from cilake.contracts.model import Column, Table

TABLE = Table(
    address="raw.testgrid__summaries",
    title="TestGrid summaries, as received",
    grain="One row per changed reply of one dashboard.",
    description="The decoded body of each reply whose content differs from the last one stored. "
    "What changes on every request (`status`, `phase-timer`, `cached`) does not count as a change.",
    columns=(
        Column("source", "string", "Source of the payload.", example="testgrid"),
        Column("endpoint", "string", "Endpoint of the source.", example="summary"),
        Column(
            "natural_id",
            "string",
            "What the payload describes: one dashboard.",
            example="redhat-openshift-ocp-release-4.8-blocking",
        ),
        Column("partition_date", "date", "Day the landing was for.", example="2021-06-21"),
        Column(
            "fetched_at",
            "timestamp",
            "When the reply arrived, by our clock, UTC.",
            example="2021-06-22T00:00:01Z",
        ),
        Column(
            "served_at",
            "timestamp",
            "When the reply was made, by the server's clock, UTC.",
            example="2021-06-22T00:00:00Z",
        ),
        Column("http_status", "int", "HTTP status of the reply.", example=200),
        Column(
            "etag",
            "string",
            "Entity tag of the reply, if the server sent one.",
            nullable=True,
            example='"a1"',
        ),
        Column(
            "payload",
            "binary",
            "The body, decoded from its transfer encoding and otherwise untouched.",
            example=b"{}",
        ),
        Column("payload_bytes", "bigint", "Size of the body.", unit="bytes", example=2),
        Column("payload_sha256", "string", "SHA-256 of the body.", example="0" * 64),
        Column(
            "content_sha256",
            "string",
            "SHA-256 of the body without what changes on every request.",
            example="0" * 64,
        ),
        LANDING_ID,
    ),
    primary_key=("natural_id", "partition_date", "content_sha256"),
    write_mode="append",
    partition_by=("partition_date",),
    made_by="ingest_testgrid",
    freshness_hours=36,
    caveats=("TestGrid shows a rolling window: one reply repeats the columns of earlier replies.",),
    example_query="select natural_id, served_at, payload_bytes from raw.testgrid__summaries order by served_at desc limit 10",
)
