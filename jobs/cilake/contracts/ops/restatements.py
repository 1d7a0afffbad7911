"""What was made again from its inputs, or taken back, after it had been published."""

from cilake.contracts.model import Column, Table

TABLE = Table(
    address="ops.restatements",
    title="Restatements",
    grain="One row per table that a rebuild or a rollback changed.",
    description="Published figures that changed although no new payload came, with the reason and the way back.",
    columns=(
        Column("restatement_id", "string", "Rebuild, for `cilake rollback`, or `rollback_` and the rebuild that was taken back.", example="core_2021-06-21_20210701T080000"),
        Column("table_address", "string", "Table that changed.", example="core.ci_runs"),
        Column("reason", "string", "Why, in the words of who did it.", example="verdicts of <job>.Overall are read"),
        Column("from_date", "date", "First day that was made again.", example="2021-06-21"),
        Column("until_date", "date", "Last day that was made again.", example="2021-06-21"),
        Column("from_snapshot_id", "bigint", "Iceberg snapshot before.", example=1),
        Column("to_snapshot_id", "bigint", "Iceberg snapshot after.", example=2),
        Column("removed_count", "bigint", "Rows of before that are not there after.", unit="rows", example=1),
        Column("added_count", "bigint", "Rows of after that were not there before.", unit="rows", example=1),
        Column("restated_at", "timestamp", "When it was done, by our clock, UTC.", example="2021-07-01T08:00:00Z"),
    ),
    primary_key=("restatement_id", "table_address"),
    write_mode="merge",
    made_by="every rebuild",
    shown_on="platform-health",
    caveats=(
        "The rows themselves, for 400 days: those of a table `for version as of '<restatement_id>_before'` and "
        "`'<restatement_id>_after'`, one `except` the other.",
    ),
    example_query="select restated_at, table_address, reason, removed_count, added_count from ops.restatements "
    "order by restated_at desc",
)
