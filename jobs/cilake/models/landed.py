"""What a decision about a day owes to its landing: that there was one, and what it did not obtain."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cilake.build.decoding import raw_tables
from cilake.build.unbuilt import find_unbuilt
from cilake.contracts.core.ci_run_observations import TABLE as OBSERVATIONS
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.ops.fetches import TABLE as FETCHES
from cilake.contracts.ops.receipts import TABLE as RECEIPTS
from cilake.lake.catalog import newest_date
from cilake.lake.changes import held_dates
from cilake.lake.snapshots import Pins
from cilake.models.as_of import known_by
from cilake.models.obtained import jobs_not_obtained, judge_requests
from cilake.windows import DayError, Window, day_start

_LANDED = ((RECEIPTS, "partition_date"), (CI_RUNS, "landed_date"))
"""The tables that say which days were landed, and in which column."""


def require_landed(catalog: Catalog, window: Window) -> None:
    """Check that the days of the window are landed and were over by then; an empty lake has no such day.

    Nothing is known of other days, and what the ledger says of a day is never changed.

    Raises:
        DayError: when a day was not landed, or the last was not over when it was landed.

    """
    last = window.end - timedelta(days=1)
    require_no_later(catalog, last)
    if newest := newest_date(catalog, RECEIPTS):
        days = list(window.days)
        landed = held_dates(catalog, RECEIPTS, "partition_date", days)
        for day in days:
            if day not in landed:
                raise _not_landed(day, newest)
    replies = catalog.load_table(FETCHES.address).scan(
        row_filter=f"partition_date = '{last}' and http_status is not null", selected_fields=("served_at",)
    )
    served = pc.max(replies.to_arrow()["served_at"]).as_py()
    if served is not None and served < day_start(last + timedelta(days=1)):
        raise DayError(
            f"{last} was not over when it was landed, and what the ledger says of a day is never changed: "
            "land and build it again when it is over by the source's clock, then score it"
        )


def require_no_later(catalog: Catalog, day: date) -> None:
    """Check that a day, or a later one, is landed; an empty lake has none.

    Raises:
        DayError: when it is later than the newest landed day.

    """
    newest = [newest_date(catalog, table, column) for table, column in _LANDED]
    landed = max((one for one in newest if one), default=None)
    if landed and day > landed:
        raise _not_landed(day, landed)


def _not_landed(day: date, newest: date) -> DayError:
    return DayError(
        f"{day} has not been landed: the newest landed day is {newest}; run `cilake land` "
        f"and `cilake build core_ci --start {day}` first"
    )


def require_built(catalog: Catalog, day: date) -> None:
    """Check that what was landed for a day, or before it, is built.

    Raises:
        DayError: when a payload is not: a prediction without what it shows would stay as it is.

    """
    for raw in raw_tables():
        if not catalog.table_exists(raw.table.address):  # a source that has not landed yet
            continue
        if (unbuilt := find_unbuilt(catalog, raw.table, CI_RUNS)) is None:
            continue
        landed_for = unbuilt.read_here(("partition_date",))["partition_date"]
        count = pc.sum(pc.less_equal(landed_for, day)).as_py() or 0
        if count:
            raise DayError(
                f"{count:,} payloads of {raw.table.address} landed for {day} or before are not built: run "
                f"`cilake build core_ci --start {day}` first"
            )


def read_jobs_not_obtained(
    spark: SparkSession, catalog: Catalog, pins: Pins, day: date, *, shown_days: int
) -> frozenset[int]:
    """Return the jobs that are seen only through tabs that the landing of the day did not obtain.

    What a tab showed within ``shown_days`` counts; one that showed a job long ago need not show it now.

    What a later backfill of the day met is not looked at: it was not known to the day's decisions.
    """
    fetches = catalog.load_table(FETCHES.address).scan(
        row_filter=f"partition_date = '{day}' and is_backfilled = false",
        selected_fields=("source", "natural_id", "fetch_status", "is_stale"),
    ).to_arrow().to_pylist()  # fmt: skip
    landing = judge_requests(
        ((row["source"], row["natural_id"]), row["fetch_status"], row["is_stale"]) for row in fetches
    )
    if not landing.lost:
        return frozenset()
    since = day - timedelta(days=shown_days)
    lately = pins.read(spark, OBSERVATIONS).where(f"{known_by(day)} AND run_date >= DATE '{since}'")
    shown = lately.select("job_key", "source", "natural_id").distinct().collect()
    return jobs_not_obtained(landing, ((row["job_key"], (row["source"], row["natural_id"])) for row in shown))
