"""What all DAGs share: the asset of a table, the schedules, the parameter and the defaults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, CronPartitionTimetable, Param, PartitionedAssetTimetable

from cilake.contracts.model import Table

OWNER = "data-platform"
KEY_FORMAT = "%Y-%m-%d"
SPARK_POOL = "spark"  # made from deploy/airflow/pools.json; a task of a pool that is not there never runs
DEFAULT_POOL = "default_pool"
# Not False: Airflow 3.3 takes that for its default, with which a DAG that is switched on within a tenth of
# the interval after a tick starts the run of that tick, too.
AT_THE_TICK = timedelta(0)
TIMEOUT = {1: timedelta(hours=2), 2: timedelta(hours=2), 3: timedelta(hours=4)}


def asset_of(table: Table) -> Asset:
    """The asset that stands for a table; its events say for which day the table is new."""
    return Asset(name=table.address, uri=f"lake://{table.namespace}/{table.name}", group="lake")


def each_day() -> CronPartitionTimetable:
    """The schedule of sources: after midnight UTC, for the day that ended then.

    Midnight and not later: the end of a backfill's range is a midnight, and its last day must be in it.
    """
    return CronPartitionTimetable(
        "0 0 * * *", timezone="UTC", run_offset=-1, run_immediately=AT_THE_TICK, key_format=KEY_FORMAT
    )


def each_morning() -> CronPartitionTimetable:
    """The schedule of upkeep: at four UTC, when the night of the day that ended is over."""
    return CronPartitionTimetable(
        "0 4 * * *", timezone="UTC", run_offset=-1, run_immediately=AT_THE_TICK, key_format=KEY_FORMAT
    )


def each_week() -> CronPartitionTimetable:
    """The schedule of training: Monday at six, when the night's data is in."""
    return CronPartitionTimetable(
        "0 6 * * 1", timezone="UTC", run_immediately=AT_THE_TICK, key_format=KEY_FORMAT
    )


def after(table: Table) -> PartitionedAssetTimetable:
    """The schedule of everything else: when the table is new for a day, for that day."""
    return PartitionedAssetTimetable(assets=asset_of(table))


def day_param() -> Param:
    """The day a person asks for, as a field with a calendar in the form of *Trigger*."""
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


def dag_defaults(tier: int, *, writes: str, by_clock: bool = False, pool: str = SPARK_POOL) -> dict[str, Any]:
    """The arguments every DAG takes; tier 1 feeds others, tier 2 answers people, tier 3 may be late.

    DAGs that follow the clock start paused: whoever runs the lake decides when it begins to ask a source.
    All others must never be paused, because an asset's event is not kept for a paused DAG.

    Args:
        tier: how urgent it is when the DAG is red.
        writes: the namespace of its tables, a tag to filter by; ``all`` for upkeep, which makes no table.
        by_clock: whether the clock starts it, and not a table.
        pool: where its tasks wait for a slot; work without Spark needs none of Spark's.

    """
    return {
        # Without a start date the first run is the next tick of the clock; with one in the past,
        # yesterday's run would start the moment a DAG is switched on.
        "start_date": None,
        "catchup": False,
        "max_active_runs": 1,
        "is_paused_upon_creation": by_clock,
        "dagrun_timeout": TIMEOUT[tier] * 2,
        "tags": ["cilake", f"tier:{tier}", f"writes:{writes}"],
        "params": {"day": day_param()},
        "default_args": {
            "owner": OWNER,
            "pool": pool,
            "retries": 2,
            "retry_delay": timedelta(seconds=20),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=10),
            "execution_timeout": TIMEOUT[tier],
            # One writer per table, also when a backfill runs beside the nightly run.
            "max_active_tis_per_dag": 1,
        },
    }
