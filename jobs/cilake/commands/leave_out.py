"""``cilake leave-out``: a tab that landings no longer ask for."""

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
from cilake.sources.testgrid.source import SOURCE


class TabError(PermanentError):
    """What is to be left out and cannot be."""


def leave_out_tab(
    settings: Settings, tab: str, *, reason: str, start: date, end: date | None
) -> dict[str, str | None]:
    """Leave out a tab of TestGrid on the days from ``start`` to before ``end``; return the decision.

    The newest decision about a tab holds, so one whose ``end`` has passed takes it in again.

    Raises:
        TabError: when the tab is not named with its dashboard, or the days are none.
        PermanentError: when the reason is none.

    """
    dashboard, slash, name = tab.partition("/")
    if not (dashboard and slash and name) or not tab.isprintable():
        raise TabError(f"{tab!r} names no tab: expected DASHBOARD/TAB")
    require_reason(reason)
    if end is not None and end < start:
        raise TabError(f"--end {end} lies before --start {start}")
    catalog = open_catalog(settings)
    leave_out(catalog, SOURCE.name, tab, reason=reason, start=start, end=end)
    asked_for = catalog.load_table(FETCHES.address).scan(
        row_filter=And(_equals("natural_id", tab), _equals("source", SOURCE.name)),
        selected_fields=("natural_id",), limit=1,
    )  # fmt: skip
    if not len(asked_for.to_arrow()):
        say(f"no landing has asked for {tab} so far: compare the name with natural_id of ops.fetches")
    return {"tab": tab, "reason": reason, "from": str(start), "until": str(end) if end else None}


def _equals(column: str, value: str) -> EqualTo:
    return EqualTo(term=Reference(column), value=literal(value))
