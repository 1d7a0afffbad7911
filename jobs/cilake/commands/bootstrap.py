"""``cilake bootstrap``: the tables of the contracts, created where they do not exist."""

from __future__ import annotations

from cilake.lake.catalog import create_tables, open_catalog
from cilake.landing.latest_receipts import fill_latest_receipts
from cilake.log import logger
from cilake.settings import Settings


def bootstrap(settings: Settings) -> dict[str, int]:
    """Create the tables that do not exist; return their number. Existing ones are left as they are.

    A lake that is older than ``ops.latest_receipts`` has this table filled from its receipts.
    """
    catalog = open_catalog(settings)
    created = create_tables(catalog)
    for address in created:
        logger.info(f"{address}: created")
    if filled := fill_latest_receipts(catalog):
        logger.info(f"ops.latest_receipts: filled with {filled:,} rows from ops.receipts")
    return {"created": len(created)}
