"""Results of every data quality check."""

from cilake.contracts.model import Column, Table

TABLE = Table(
    address="ops.validation_results",
    title="Validation results",
    grain="One row per validation run, table and expectation.",
    description="What was checked before publishing, what was seen, and whether it held.",
    columns=(
        Column("validation_id", "string", "Validation run.", example="build-2021-06-21"),
        Column("table_address", "string", "Table that was checked.", example="core.ci_runs"),
        Column("expectation_id", "string", "Id of the expectation within the suite.", example="run_key_not_null"),
        Column("expectation_type", "string", "Great Expectations type.", example="expect_column_values_to_not_be_null"),
        Column("severity", "string", "What a failure does: critical blocks publishing, warning is reported.", allowed=("critical", "warning", "info"), example="critical"),
        Column("was_successful", "boolean", "The expectation held.", example=True),
        Column("observed", "string", "What was seen, as JSON.", nullable=True, example="{}"),
        Column("partition_date", "date", "Day the build was for.", example="2021-06-21"),
        Column("row_count", "bigint", "Rows in the audited batch.", unit="rows", example=1),
        Column("validated_at", "timestamp", "When the check ran, by our clock, UTC.", example="2021-06-22T00:01:00Z"),
    ),
    primary_key=("validation_id", "table_address", "expectation_id"),
    write_mode="append",
    made_by="every build",
    shown_on="platform-health",
    example_query="select table_address, expectation_id, observed from ops.validation_results where not was_successful",
)
