"""What every request of a landing brought."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.payload import LANDING_ID

TABLE = Table(
    address="ops.fetches",
    title="Requests of landings",
    grain="One row per request of a landing and the reply to it.",
    description="Also of replies that brought nothing new, so they show what a source showed at any time, "
    "and whether a payload that comes late is the newest of its kind.",
    columns=(
        Column("source", "string", "Source of the reply.", example="testgrid"),
        Column("endpoint", "string", "Endpoint of the source.", example="table"),
        Column("scope", "string", "Part of the source that the receipt is for, such as a dashboard or a project.", example="redhat-blocking"),
        Column("natural_id", "string", "What was requested, such as one tab of a dashboard.", example="redhat-blocking/e2e-aws"),
        Column("partition_date", "date", "Day the landing was for.", example="2021-06-21"),
        LANDING_ID,
        Column("fetched_at", "timestamp", "When the reply arrived, by our clock, UTC.", example="2021-06-22T00:00:01Z"),
        Column("served_at", "timestamp", "When the reply was made, by the server's clock, UTC; without a reply, when the newest one before it in the landing was.", example="2021-06-22T00:00:00Z"),
        Column(
            "is_backfilled",
            "boolean",
            "The reply is of more than a day after the day that it was landed for: it shows that later time.",
            example=False,
        ),
        Column(
            "fetch_status",
            "string",
            "What became of it: stored, equal to the one before, refused, not obtained, or not requested as it is no longer listed.",
            allowed=("landed", "unchanged", "rejected", "missing", "unlisted"),
            example="landed",
        ),
        Column("http_status", "int", "HTTP status of the reply, when there was one.", nullable=True, example=200),
        Column("etag", "string", "Entity tag of the reply, if the server sent one.", nullable=True, example='"a1"'),
        Column("content_sha256", "string", "SHA-256 of the content, where it could be read.", nullable=True, example="0" * 64),
        Column("payload_bytes", "bigint", "Size of the body.", unit="bytes", example=2),
        Column("is_stale", "boolean", "It is less than the source's own listing promises, or not updated for a day.", example=False),
        Column(
            "gap_hours",
            "double",
            "From the reply before it to its oldest run, where that is later: what ran between is lost.",
            unit="hours",
            nullable=True,
            example=12.5,
        ),
        Column("note", "string", "Why it was refused or not obtained, is stale, or what of it is missing.", nullable=True, example="answers HTTP 500"),
    ),
    primary_key=("source", "endpoint", "natural_id", "fetched_at"),
    write_mode="append",
    partition_by=("months(partition_date)",),
    made_by="every landing",
    freshness_hours=36,
    shown_on="platform-health",
    example_query="select partition_date, natural_id, note from ops.fetches where fetch_status = 'missing' "
    "order by fetched_at desc",
)
