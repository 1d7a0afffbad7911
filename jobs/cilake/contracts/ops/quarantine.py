"""Payloads, and parts of payloads, that could not be read."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.payload import LANDING_ID

TABLE = Table(
    address="ops.quarantine",
    title="Quarantine",
    grain="One row per payload or part of one that could not be read, day and reason.",
    description="Nothing is dropped: what could not be read is kept here with the reason.",
    columns=(
        Column("source", "string", "Source of the payload.", example="testgrid"),
        Column("endpoint", "string", "Endpoint of the source.", example="table"),
        Column("natural_id", "string", "What the payload should describe.", example="redhat-blocking/e2e-aws"),
        Column("partition_date", "date", "Day the landing was for.", example="2021-06-21"),
        Column("part", "string", "What of the payload could not be read: a build or a name; empty for all of it.", example=""),
        LANDING_ID,
        Column("reason", "string", "Why it could not be read.", example="malformed_json: unexpected end of data"),
        Column("http_status", "int", "HTTP status of the reply, when there was one.", nullable=True, example=200),
        Column("payload", "binary", "The body as received, at most 8 MiB of it; null for a part, whose payload is in the raw table.", nullable=True, example=b"{", sensitivity="internal"),
        Column("payload_bytes", "bigint", "Size of the whole body.", unit="bytes", example=1),
        Column("quarantined_at", "timestamp", "When the row was written, by our clock, UTC.", example="2021-06-22T00:01:00Z"),
    ),
    primary_key=("source", "endpoint", "natural_id", "partition_date", "part", "reason"),
    write_mode="append",
    made_by="every landing",
    shown_on="platform-health",
    example_query="select natural_id, reason from ops.quarantine order by quarantined_at desc",
)
