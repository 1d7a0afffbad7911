"""When each table was last brought up to date."""

from cilake.contracts.model import Column, Table

TABLE = Table(
    address="ops.table_updates",
    title="Table updates",
    grain="One row per run of a job and table that the job makes.",
    description="A job that finds nothing new has confirmed its tables and makes rows too, with nothing written.",
    columns=(
        Column("table_address", "string", "Table that was brought up to date.", example="core.ci_runs"),
        Column("made_by", "string", "DAG that makes the table.", example="build_core_ci"),
        Column("command", "string", "What ran: verb and object of the command line.", example="build core_ci"),
        Column("partition_date", "date", "First day the run was for.", example="2021-06-21"),
        Column("started_at", "timestamp", "When the run started, by our clock, UTC.", example="2021-06-22T00:01:00Z"),
        Column("finished_at", "timestamp", "When the run ended, by our clock, UTC.", example="2021-06-22T00:02:00Z"),
        Column("run_seconds", "double", "How long the run took.", unit="seconds", example=60.0),
        Column("update_status", "string", "Whether the run succeeded.", allowed=("succeeded", "failed"), example="succeeded"),
        Column("error_type", "string", "Type of the error that ended the run; null when it succeeded.", nullable=True),
        Column("written_count", "bigint", "Rows written to the table; null where the job does not say.", nullable=True, unit="rows", example=1),
        Column("newest_date", "date", "Newest day in the table when the run ended; null: it has no days, but weeks or none, or no rows.", nullable=True, example="2021-06-21"),
        Column("slo_hours", "int", "How old the newest day and the last successful update may be; null: no promise.", nullable=True, unit="hours", example=36),
        Column("run_url", "string", "Page of the run in Airflow; null when something else ran the command.", nullable=True, example="https://airflow.example/dags/build_core_ci/runs/manual__1"),
    ),
    primary_key=("table_address", "command", "started_at"),
    write_mode="append",
    made_by="every job",
    shown_on="platform-health",
    example_query="select table_address, max(finished_at) as updated_at, max_by(newest_date, finished_at) as newest_day "
    "from ops.table_updates where update_status = 'succeeded' group by 1 order by 2",
)
