"""Columns about payloads and how they came and were read."""

from cilake.contracts.model import Column

NATURAL_ID = Column(
    "natural_id",
    "string",
    "What the payload that showed it describes, in the source, such as a tab of a dashboard.",
    example="redhat-blocking/e2e-aws",
)
DECODER_VERSION = Column(
    "decoder_version",
    "int",
    "Version of the decoder that read the payload; a new one reads the same payload differently.",
    example=1,
)
LANDED_DATE = Column(
    "landed_date", "date", "Day of the landing (partition key of the ingest run) that brought this row.",
    example="2021-06-21",
)
LANDING_ID = Column("landing_id", "string", "Landing that wrote the row.", example="example_source-2021-06-21")


def payload_columns(*, source: str, endpoint: str, describes: str, example: str) -> tuple[Column, ...]:
    """Return the columns of every raw table: one stored payload a row, and where and when it came from.

    ``describes`` says in words what one payload is about, ``example`` is the natural id of one.
    """
    return (
        Column("source", "string", "Source of the payload.", example=source),
        Column("endpoint", "string", "Endpoint of the source.", example=endpoint),
        Column("natural_id", "string", f"What the payload describes: {describes}.", example=example),
        Column("partition_date", "date", "Day the landing was for.", example="2021-06-21"),
        Column("fetched_at", "timestamp", "When the reply arrived, by our clock, UTC.", example="2021-06-22T00:00:01Z"),
        Column("served_at", "timestamp", "When the reply was made, by the server's clock, UTC.", example="2021-06-22T00:00:00Z"),
        Column("http_status", "int", "HTTP status of the reply.", example=200),
        Column("etag", "string", "Entity tag of the reply, if the server sent one.", nullable=True, example='"a1"'),
        Column("payload", "binary", "The body, decoded from its transfer encoding and otherwise untouched.", example=b"{}"),
        Column("payload_bytes", "bigint", "Size of the body.", unit="bytes", example=2),
        Column("payload_sha256", "string", "SHA-256 of the body.", example="0" * 64),
        Column("content_sha256", "string", "SHA-256 of the body without what changes on every request.", example="0" * 64),
        LANDING_ID,
    )
