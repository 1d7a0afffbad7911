"""How complete each day is by now."""

from cilake.contracts.model import Table
from cilake.contracts.ops.receipts import TABLE as RECEIPTS

TABLE = Table(
    address="ops.latest_receipts",
    title="Newest completeness receipts",
    grain="One row per source, dashboard and day: the newest receipt.",
    description="What the newest landing of a day found of what the source's own listing promised.",
    columns=RECEIPTS.columns,
    primary_key=("source", "scope", "partition_date"),
    write_mode="merge",
    inputs=("ops.receipts",),
    made_by="every landing",
    freshness_hours=36,
    shown_on="platform-health",
    caveats=(
        "expected = landed + unchanged + rejected + missing + unlisted, always.",
        "A repeated landing replaces the row: what the first one landed then counts as unchanged.",
    ),
    example_query="select partition_date, sum(expected_count) as expected, sum(landed_count + unchanged_count) as obtained from ops.latest_receipts group by 1 order by 1",
)
