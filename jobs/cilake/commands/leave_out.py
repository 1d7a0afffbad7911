"""``cilake leave-out``: what landings of a source no longer request."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And, EqualTo, Reference
from pyiceberg.expressions.literals import literal

from cilake.contracts.ops.fetches import TABLE as FETCHES
from cilake.contracts.ops.receipts import TABLE as RECEIPTS
from cilake.errors import PermanentError, require_reason
from cilake.lake.catalog import open_catalog
from cilake.landing.left_out import leave_out
from cilake.log import logger
from cilake.settings import Settings
from cilake.sources.registry import source as find_source
from cilake.windows import parse_day


class LeaveOutError(PermanentError):
    """What is to be left out and cannot be."""


def leave_out_payload(
    settings: Settings, source: str, natural_id: str, reason: str, start: str | None, end: str | None
) -> dict[str, str | None]:
    """Exclude a payload of a source on the days from ``start`` to before ``end``; return the decision.

    Without ``start`` it holds from the newest landed day of the source on, or of an ``end`` that has passed
    from then. The newest decision about a payload holds, so one whose ``end`` has passed takes it in again.

    Raises:
        LeaveOutError: when the source has no payload of such a name, or the days are in the wrong order.
        DayError: when a day is none.
        PermanentError: when the reason is none.

    """
    asked = find_source(source)
    if not asked.is_natural_id(natural_id):
        raise LeaveOutError(
            f"{natural_id!r} names no payload of {asked.title}: expected {asked.natural_id_form}"
        )
    require_reason(reason)
    last = parse_day(end) if end else None
    catalog = open_catalog(settings)
    landed = _newest_landed(catalog, source) or datetime.now(UTC).date()
    first = parse_day(start) if start else min(landed, last or landed)
    if last is not None and last < first:
        raise LeaveOutError(f"--end {last} is before --start {first}")
    leave_out(catalog, source, natural_id, reason=reason, start=first, end=last)
    asked_for = catalog.load_table(FETCHES.address).scan(
        row_filter=And(_equals("natural_id", natural_id), _equals("source", source)),
        selected_fields=("natural_id",), limit=1,
    )  # fmt: skip
    if not len(asked_for.to_arrow()):
        logger.warning(
            f"no landing has requested {natural_id} so far: compare the name with natural_id of ops.fetches"
        )
    return {
        "source": source,
        "natural_id": natural_id,
        "reason": reason,
        "from": str(first),
        "until": str(last) if last else None,
    }


def _newest_landed(catalog: Catalog, source: str) -> date | None:
    days = catalog.load_table(RECEIPTS.address).scan(
        row_filter=_equals("source", source), selected_fields=("partition_date",)
    )
    newest: date | None = pc.max(days.to_arrow()["partition_date"]).as_py()
    return newest


def _equals(column: str, value: str) -> EqualTo:
    return EqualTo(term=Reference(column), value=literal(value))
