"""``cilake leave-out``: what landings of a source no longer ask for."""

from __future__ import annotations

from datetime import date

from pyiceberg.expressions import And, EqualTo, Reference
from pyiceberg.expressions.literals import literal

from cilake.contracts.ops.fetches import TABLE as FETCHES
from cilake.errors import PermanentError, require_reason
from cilake.lake.catalog import open_catalog
from cilake.landing.left_out import leave_out
from cilake.log import say
from cilake.settings import Settings
from cilake.sources.base import Source


class LeaveOutError(PermanentError):
    """What is to be left out and cannot be."""


def leave_out_payload(
    settings: Settings, source: Source, natural_id: str, *, reason: str, start: date, end: date | None
) -> dict[str, str | None]:
    """Leave out a payload of a source on the days from ``start`` to before ``end``; return the decision.

    The newest decision about it holds, so one whose ``end`` has passed takes it in again.

    Raises:
        LeaveOutError: when the source has no payload of such a name, or the days are none.
        PermanentError: when the reason is none.

    """
    if not source.is_natural_id(natural_id):
        raise LeaveOutError(
            f"{natural_id!r} names no payload of {source.title}: expected {source.natural_id_form}"
        )
    require_reason(reason)
    if end is not None and end < start:
        raise LeaveOutError(f"--end {end} lies before --start {start}")
    catalog = open_catalog(settings)
    leave_out(catalog, source.name, natural_id, reason=reason, start=start, end=end)
    asked_for = catalog.load_table(FETCHES.address).scan(
        row_filter=And(_equals("natural_id", natural_id), _equals("source", source.name)),
        selected_fields=("natural_id",), limit=1,
    )  # fmt: skip
    if not len(asked_for.to_arrow()):
        say(f"no landing has asked for {natural_id} so far: compare the name with natural_id of ops.fetches")
    return {
        "source": source.name,
        "natural_id": natural_id,
        "reason": reason,
        "from": str(start),
        "until": str(end) if end else None,
    }


def _equals(column: str, value: str) -> EqualTo:
    return EqualTo(term=Reference(column), value=literal(value))
