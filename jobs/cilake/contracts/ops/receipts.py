"""How complete each landing was."""

from cilake.contracts.model import Column, Table
from cilake.contracts.vocabulary.payload import LANDING_ID

TABLE = Table(
    address="ops.receipts",
    title="Completeness receipts",
    grain="One row per landing attempt, dashboard and day.",
    description="What the source's own listing promised against what was landed.",
    columns=(
        Column("source", "string", "Source of the landing.", example="testgrid"),
        Column("scope", "string", "Part of the source the receipt is for, such as a dashboard or a project.", example="redhat-blocking"),
        Column("partition_date", "date", "Day the landing was for.", example="2021-06-21"),
        LANDING_ID,
        Column("expected_count", "bigint", "Payloads the source's listing promises, and those of the week before that it no longer does.", unit="payloads", example=1),
        Column("landed_count", "bigint", "Payloads stored because they were new or changed.", unit="payloads", example=1),
        Column("unchanged_count", "bigint", "Payloads equal to the last one stored.", unit="payloads", example=0),
        Column("rejected_count", "bigint", "Payloads that could not be read, now in quarantine.", unit="payloads", example=0),
        Column("missing_count", "bigint", "Payloads promised but not obtained.", unit="payloads", example=0),
        Column("unlisted_count", "bigint", "Payloads obtained in the week before that the listing no longer promises.", unit="payloads", example=0),
        Column("stale_count", "bigint", "Of those obtained: less than the source's listing promises, or not updated for a day.", unit="payloads", example=0),
        Column("gap_count", "bigint", "Of those obtained: they begin after the reply before them, so what ran between is lost.", unit="payloads", example=0),
        Column("landed_bytes", "bigint", "Size of the payloads stored.", unit="bytes", example=2),
        Column("landed_at", "timestamp", "When the receipt was written, by our clock, UTC.", example="2021-06-22T00:01:00Z"),
    ),
    primary_key=("source", "scope", "partition_date", "landed_at"),
    write_mode="append",
    made_by="every landing",
    freshness_hours=36,
    shown_on="platform-health",
    caveats=(
        "expected = landed + unchanged + rejected + missing + unlisted, always.",
        "Which payload is stale or has a gap, and why, is in ops.fetches. Tabs in ops.left_out are not expected.",
        "A day that was landed again has a receipt of each landing: for sums take ops.latest_receipts.",
    ),
    example_query="select * from ops.receipts where landed_count + unchanged_count < expected_count order by landed_at desc",
)
