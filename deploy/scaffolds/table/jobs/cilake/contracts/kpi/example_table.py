"""EXAMPLE: how often each job ran on each day."""

from cilake.contracts.model import Column, Table
from cilake.contracts.rebuild import by_day
from cilake.contracts.vocabulary.ci import JOB_KEY, JOB_NAME, RUN_DATE

TABLE = Table(
    address="kpi.example_table",
    title="EXAMPLE: runs a day",
    grain="One row per job and day on which it ran.",
    description="Replace this by what the table answers, and for whom.",
    columns=(
        RUN_DATE,
        JOB_KEY,
        JOB_NAME,
        Column("run_count", "bigint", "Runs that started on the day.", unit="runs", example=3),
    ),
    primary_key=("run_date", "job_key"),
    write_mode="replace_partition",
    partition_by=("months(run_date)",),
    sort_by=("run_date", "job_key"),
    inputs=("core.ci_runs", "core.ci_jobs"),
    made_by="build_kpi_ci_health",
    rebuild=by_day("run_date"),
    freshness_hours=36,
    shown_on="ci-health",
    example_query="select run_date, sum(run_count) as run_count from kpi.example_table group by 1 order by 1",
)
