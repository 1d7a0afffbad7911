"""``cilake rebuild`` and ``cilake rollback``: published tables made again for a reason, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pyiceberg.catalog import Catalog

from cilake.build.core import finish_rebuild, rebuild_core
from cilake.build.core_tables import CORE
from cilake.build.tables import rebuild_tables
from cilake.build.take_back import ROLLBACK, take_back
from cilake.commands.measure import extras_of
from cilake.contracts.model import Table
from cilake.contracts.ops.receipts import TABLE as RECEIPTS
from cilake.contracts.registry import table as contract
from cilake.contracts.registry import tables
from cilake.errors import PermanentError, require_reason
from cilake.lake.catalog import newest_date, open_catalog
from cilake.lake.session import spark_session
from cilake.log import logger
from cilake.models.registry import model, model_names
from cilake.publish.restatements import Restatement, record_restatements
from cilake.settings import Settings
from cilake.windows import DayError, Window

FOLLOWING = tuple(table for table in tables().values() if table.rebuild)
"""The tables that follow from others as their contracts say."""
REBUILT = (*CORE, *FOLLOWING)
"""What can be made again: not what came from outside, nor what was predicted for a day that has passed."""


class UnknownTableError(PermanentError):
    """A name that is no table that can be made again; the message lists those."""


def rebuild(settings: Settings, window: Window, *, names: Sequence[str], reason: str) -> dict[str, Any]:
    """Make tables again from the inputs of the window's days; record what that changed, and return it.

    ``names`` are addresses, or a namespace for all its tables. The core tables belong together: where one is
    named, all are made. Like a build it writes to branches, which are audited before they are published.
    What a killed or interrupted one has published is recorded by the next.

    Raises:
        UnknownTableError: when a name is no table that can be made again.
        DayError: when the window begins after the last day that was landed.
        PermanentError: when the reason is none.

    """
    require_reason(reason)
    chosen = _choose(names)
    catalog = open_catalog(settings)
    landed = newest_date(catalog, RECEIPTS, "partition_date")
    if landed and window.start > landed:
        raise DayError(f"{window.start} has not been landed: the newest landed day is {landed}")
    last = window.end - timedelta(days=1)
    namespaces = "_".join(dict.fromkeys(table.namespace for table in chosen))
    restatement_id = f"{namespaces}_{window.start}_{datetime.now(UTC):%Y%m%dT%H%M%S}"
    restatement = Restatement(restatement_id, reason, str(window.start), str(last))
    with spark_session(settings, app_name=f"rebuild {restatement_id}") as spark:
        record_restatements(spark, catalog)
        finish_rebuild(spark, settings, catalog)
        try:
            for work in _works(catalog, chosen):
                work(spark, settings, catalog, window, restatement)
        except Exception:  # what was published before a failure is restated, too
            record_restatements(spark, catalog)
            raise
        done = record_restatements(spark, catalog)
    changed = done.get(restatement_id)
    if not changed:
        logger.info("rebuild: nothing differs, there is no restatement")
        return {"restatement_id": None}
    _log_what_follows(set(changed))
    return {"restatement_id": restatement_id, **changed}


def _log_what_follows(changed: set[str]) -> None:
    """Log which tables follow from those that changed, and that no build takes this change to them."""
    # Changes of the core tables are followed by the builds of all that is made from them.
    ours = {address for address in changed if contract(address) not in CORE}
    following = [
        table.address for table in REBUILT if ours & set(table.inputs) and table.address not in changed
    ]
    if following:
        logger.warning(f"{', '.join(following)} follow from what changed: rebuild the same days of them, too")


def _choose(names: Sequence[str]) -> list[Table]:
    """Return the tables that the names mean, inputs before what is made from them."""
    known = {table.address for table in REBUILT} | {table.namespace for table in REBUILT}
    if unknown := [name for name in names if name not in known]:
        raise UnknownTableError(
            f"{', '.join(unknown)} cannot be made again: name one or more of {', '.join(sorted(known))}"
        )
    return [table for table in REBUILT if {table.address, table.namespace} & set(names)]


def _works(catalog: Catalog, chosen: list[Table]) -> list[Callable[..., None]]:
    """Return what makes the tables again, in order: each step its tables, or its rows of those."""
    works: list[Callable[..., None]] = [rebuild_core] if set(chosen) & set(CORE) else []
    steps = dict.fromkeys(table.made_by for table in chosen if table in FOLLOWING)
    of_models = {f"measure_{name}": model(name) for name in model_names()}
    if "measure" in steps:
        steps |= dict.fromkeys(of_models)
        del steps["measure"]
    for step in steps:
        extras = extras_of(catalog, of_models[step]) if step in of_models else {}
        works.append(partial(rebuild_tables, step=step, tables=chosen, extras=extras))
    return works


def rollback(settings: Settings, restatement_id: str) -> dict[str, Any]:
    """Make the tables of a restatement what they were before it; record that, and return what it changed.

    A rebuild that was killed half way ends so, too. A rollback that was killed is finished by the next, and
    where it is of core tables by the next build or rebuild.

    Raises:
        RollbackError: when there is no such rebuild, it was taken back already, a table was changed since, or
            what it was before is no longer kept.

    """
    catalog = open_catalog(settings)
    undone = f"{ROLLBACK}{restatement_id}"
    with spark_session(settings, app_name=undone) as spark:
        record_restatements(spark, catalog)
        take_back(catalog, restatement_id)
        done = record_restatements(spark, catalog)
    return {"restatement_id": undone, **done.get(undone, {})}
