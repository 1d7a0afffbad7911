"""What the landing of a day did not obtain, logged by what follows it."""

from __future__ import annotations

from pyiceberg.catalog import Catalog

from cilake.contracts.ops.latest_receipts import TABLE as LATEST_RECEIPTS
from cilake.log import logger
from cilake.windows import Window

_LOSSES = {
    "rejected_count": "rejected",
    "missing_count": "missing",
    "unlisted_count": "unlisted",
    "stale_count": "stale",
    "gap_count": "after a gap",
}


def log_if_incomplete(catalog: Catalog, window: Window) -> None:
    """Log for each day of the window what its newest landing did not obtain; nothing for a complete day."""
    receipts = catalog.load_table(LATEST_RECEIPTS.address).scan(
        row_filter=f"partition_date >= '{window.start}' and partition_date < '{window.end}'",
        selected_fields=("partition_date", "expected_count", *_LOSSES),
    ).to_arrow()  # fmt: skip
    counted = [(name, "sum") for name in ("expected_count", *_LOSSES)]
    days = receipts.group_by("partition_date").aggregate(counted)
    for day in days.sort_by("partition_date").to_pylist():
        lost = [f"{count:,} {word}" for name, word in _LOSSES.items() if (count := day[f"{name}_sum"])]
        if lost:
            logger.warning(
                f"{day['partition_date']} is incomplete: of {day['expected_count_sum']:,} payloads "
                f"{', '.join(lost)}; see ops.fetches"
            )
