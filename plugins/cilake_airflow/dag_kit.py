"""What all DAGs share: the DAG of a step, the schedules, and the asset of a table."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetAny, CronPartitionTimetable, Param, PartitionedAssetTimetable

from cilake.contracts.model import Table
from cilake.contracts.registry import made_by, tables
from cilake.contracts.registry import table as contract
from cilake_airflow.operators.job_operator import CilakeJobOperator

OWNER = "data-platform"
KEY_FORMAT = "%Y-%m-%d"
SPARK_POOL = "spark"  # made from deploy/airflow/pools.json; a task of a pool that is not there never runs
DEFAULT_POOL = "default_pool"
# Not False: Airflow 3.3 takes that for its default, with which a DAG that is switched on within a tenth of
# the interval after a tick starts the run of that tick, too.
AT_THE_TICK = timedelta(0)
WRITTEN_FOR = ("raw", "core", "features", "predictions", "kpi", "ops")
"""Namespaces in the order in which one says what a step is there for."""
TIMEOUT = {1: timedelta(hours=2), 2: timedelta(hours=2), 3: timedelta(hours=4)}


def asset_of(table: Table) -> Asset:
    """Return the asset of a table; its events carry the updated day as partition key."""
    return Asset(name=table.address, uri=f"lake://{table.namespace}/{table.name}", group="lake")


def each_day() -> CronPartitionTimetable:
    """Return the schedule of sources: after midnight UTC, for the day that ended then.

    Midnight and not later: the end of a backfill's range is a midnight, and its last day must be in it.
    """
    return CronPartitionTimetable(
        "0 0 * * *", timezone="UTC", run_offset=-1, run_immediately=AT_THE_TICK, key_format=KEY_FORMAT
    )


def each_morning() -> CronPartitionTimetable:
    """Return the schedule of maintenance: at four UTC, when the night of the day that ended is over."""
    return CronPartitionTimetable(
        "0 4 * * *", timezone="UTC", run_offset=-1, run_immediately=AT_THE_TICK, key_format=KEY_FORMAT
    )


def each_week() -> CronPartitionTimetable:
    """Return the schedule of training: Monday at six, when the night's data is in."""
    return CronPartitionTimetable(
        "0 6 * * 1", timezone="UTC", run_immediately=AT_THE_TICK, key_format=KEY_FORMAT
    )


def after(*addresses: str) -> PartitionedAssetTimetable:
    """Return the schedule of everything else: when any of the tables is new for a day, for that day."""
    return PartitionedAssetTimetable(assets=AssetAny(*(asset_of(contract(one)) for one in addresses)))


def after_feeding(step: str) -> PartitionedAssetTimetable:
    """Return the schedule of a step that follows all tables that say that they feed those that it makes."""
    made = {table.address for table in made_by(step)}
    return after(*(one.address for one in tables().values() if made & set(one.feeds)))


def _name_tables(written: list[Table]) -> list[str]:
    names = ", ".join(f"`{table.address}`" for table in written)
    return [f"**Tables**, by their contracts: {names}"] if written else []


def day_param() -> Param:
    """Return the day a person chooses, as a field with a calendar in the form of *Trigger*."""
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="Day",
        description_md=(
            "The UTC day to process, `YYYY-MM-DD`, of a run that has **no partition key**; a key wins.\n\n"
            "- To process a day *with everything that follows from it*, leave this empty and fill in the "
            "partition key (*Advanced Options*), in the same form.\n"
            "- With this field *only this DAG* runs: its tables' events then name no day that others could "
            "follow.\n"
            "- A range of days is a *backfill*, which sets the keys itself: leave this empty there."
        ),
    )


def job_dag(
    dag_id: str,
    *,
    doc: str,
    schedule: CronPartitionTimetable | PartitionedAssetTimetable,
    tier: int,
    pool: str = SPARK_POOL,
) -> DAG:
    """Return the DAG of one step: one task of the same name, ``cilake <verb> <object>`` for the run's day.

    Its id is ``<verb>_<object>``; the tables that it writes are those whose contracts name it. DAGs that
    follow the clock start paused: whoever runs the lake decides when requests to a source begin. All others
    must never be paused, because an asset's event is not kept for a paused DAG.

    Args:
        dag_id: the step, as ``made_by`` in the contracts names it.
        doc: what it does, from what, and what to do when it fails.
        schedule: when it runs, and for which day.
        tier: how urgent it is when the DAG is red: 1 feeds others, 2 is for people, 3 may be late.
        pool: where its task waits for a slot; a job without Spark needs none of Spark's.

    """
    verb, _, of = dag_id.partition("_")
    # The link to a dashboard is that of the first table: what a step is there for comes before its records.
    written = sorted(made_by(dag_id), key=lambda table: WRITTEN_FOR.index(table.namespace))
    dag = DAG(
        dag_id,
        schedule=schedule,
        doc_md="\n\n".join([doc.strip(), *_name_tables(written)]),
        # Without a start date the first run is the next tick of the clock; with one in the past,
        # yesterday's run would start the moment a DAG is switched on.
        start_date=None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=isinstance(schedule, CronPartitionTimetable),
        dagrun_timeout=TIMEOUT[tier] * 2,
        tags=["cilake", f"tier:{tier}", f"writes:{written[0].namespace if written else 'all'}"],
        params={"day": day_param()},
        default_args={
            "owner": OWNER,
            "pool": pool,
            "retries": 2,
            "retry_delay": timedelta(seconds=20),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=10),
            "execution_timeout": TIMEOUT[tier],
            # One writer per table, also when a backfill runs in parallel with the nightly run.
            "max_active_tis_per_dag": 1,
        },
    )
    CilakeJobOperator(
        task_id=dag_id, verb=[verb, of], outlets=[asset_of(table) for table in written], dag=dag
    )
    return dag
