"""What is not requested, by decision."""

from cilake.contracts.model import Column, Table

TABLE = Table(
    address="ops.left_out",
    title="Left out",
    grain="One row per decision about a tab; the newest of a tab holds.",
    description="Tabs that landings do not request and receipts do not expect, as a person decided.",
    columns=(
        Column("source", "string", "Source of the tab.", example="testgrid"),
        Column("natural_id", "string", "The tab: `dashboard/tab`.", example="redhat-blocking/e2e-aws"),
        Column("reason", "string", "Why, in the words of who decided.", example="always answers 500"),
        Column("from_date", "date", "First day that it is left out.", example="2021-06-21"),
        Column("until_date", "date", "First day that it is requested again.", nullable=True, example="2021-07-21"),
        Column("decided_at", "timestamp", "When it was decided, by our clock, UTC.", example="2021-06-21T08:00:00Z"),
    ),
    primary_key=("source", "natural_id", "decided_at"),
    write_mode="append",
    made_by="every decision",
    shown_on="platform-health",
    example_query="select natural_id, reason, from_date, until_date from ops.left_out order by decided_at desc",
)
