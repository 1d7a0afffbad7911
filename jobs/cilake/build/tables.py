"""Builds of tables that follow from other tables, as their contracts say: inputs, periods and order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from importlib import import_module

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession

from cilake.contracts.model import Table
from cilake.contracts.rebuild import Rebuild
from cilake.contracts.registry import made_by
from cilake.contracts.registry import table as contract
from cilake.lake.catalog import open_catalog, set_properties
from cilake.lake.changes import built_from, changed_dates, mark_built
from cilake.lake.session import spark_session
from cilake.lake.snapshots import Pins, pin
from cilake.landing.incomplete import say_if_incomplete
from cilake.log import say
from cilake.publish.audit import auditor
from cilake.publish.replace import Replacement, days_condition, replace_days, spans_condition
from cilake.publish.restatements import Restatement
from cilake.settings import Settings
from cilake.windows import Window


def build_tables(settings: Settings, window: Window, *, step: str) -> dict[str, int]:
    """Make the periods of a step's tables again whose inputs changed since they were made last.

    A row that moved counts with the day that it left, too. The window only names the day that the run is for.
    Returns the number of rows written to each table.
    """
    catalog = open_catalog(settings)
    say_if_incomplete(catalog, window)
    built = made_by(step)
    pins = pin(catalog, *_inputs(built))
    affected = _find_affected(catalog, pins, built)
    counts = dict.fromkeys((table.address for table in built), 0)
    for table in [table for table, periods in affected.items() if not periods]:
        set_properties(catalog, table, _marks(pins, table))
        del affected[table]
    if not affected:
        say("no input has changed")
        return counts
    with spark_session(settings, app_name=f"{step} {window.start}") as spark:
        audit = auditor(settings, catalog, day=window.start)

        def replace(replacements: list[Replacement]) -> dict[str, int]:
            return replace_days(spark, catalog, replacements, audit=audit, run_id=f"{step}_{window.start}")

        return counts | _build(spark, pins, affected, replace, mark=_marks)


def rebuild_tables(
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    window: Window,
    restatement: Restatement,
    *,
    tables: list[Table],
) -> None:
    """Make the periods of tables again that follow from rows of the window's days."""
    pins = pin(catalog, *_inputs(tables))
    audit = auditor(settings, catalog, day=window.start)
    affected = {table: _rule(table).affected_by(window.days) for table in tables}

    def replace(replacements: list[Replacement]) -> dict[str, int]:
        run_id = f"rebuild_{window.start}"
        return replace_days(spark, catalog, replacements, audit=audit, run_id=run_id, note=restatement.note)

    _build(spark, pins, affected, replace, mark=lambda *_: {})


def _build(
    spark: SparkSession,
    pins: Pins,
    affected: Mapping[Table, list[date]],
    replace: Callable[[list[Replacement]], dict[str, int]],
    *,
    mark: Callable[[Pins, Table], Mapping[str, str]],
) -> dict[str, int]:
    """Replace the periods of each table, in rounds: what is made from others of them comes after these."""
    counts: dict[str, int] = {}
    left = dict(affected)
    while left:
        waiting = {table.address for table in left}
        ready = [table for table in left if not waiting & set(table.inputs)]
        counts |= replace([_make(spark, pins, table, left.pop(table), mark(pins, table)) for table in ready])
    return counts


def _make(
    spark: SparkSession, pins: Pins, table: Table, periods: list[date], marks: Mapping[str, str]
) -> Replacement:
    """Return what the table should hold for the periods, by the transform at its address."""
    reach = _rule(table).reach_of(periods)
    transform = import_module(f"cilake.transforms.{table.address}").transform
    inputs = {contract(one).name: _read(spark, pins, contract(one), reach) for one in table.inputs}
    column = _rule(table).column
    # A transform may tell more than is asked, such as of the days that only show what was before.
    rows = transform(**inputs).where(days_condition(column, periods))
    return Replacement(table, rows, column, periods, properties=marks)


def _read(spark: SparkSession, pins: Pins, table: Table, days: Iterable[date]) -> DataFrame:
    """Return a table as it is pinned, of these days where its rows have a day."""
    rows = pins.read(spark, table) if table.address in pins.snapshots else spark.table(table.identifier)
    return rows.where(spans_condition(table.day_column, days)) if table.day_column else rows


def _find_affected(catalog: Catalog, pins: Pins, built: list[Table]) -> dict[Table, list[date]]:
    """Return the periods of each table of which an input has changed since the table was made last."""
    changed: dict[tuple[str, int | None], list[date]] = {}
    affected = {}
    for table in built:
        days: set[date] = set()
        for source in _watched(pins, table):
            since, until = built_from(catalog, table, source), pins.of(source)
            if until is None or since == until:
                continue
            if (source.address, since) not in changed:
                column = str(source.day_column)
                changed[source.address, since] = changed_dates(
                    catalog, source, column, identity=source.change_columns, since=since, until=until
                )
                say(f"{source.address}: {len(changed[source.address, since]):,} days have changed")
            days.update(changed[source.address, since])
        affected[table] = _rule(table).affected_by(days)
    return affected


def _marks(pins: Pins, table: Table) -> dict[str, str]:
    """Return the properties of a table that say up to which snapshots of its inputs it is made."""
    marks: dict[str, str] = {}
    for source in _watched(pins, table):
        marks |= mark_built(source, pins.of(source))
    return marks


def _watched(pins: Pins, table: Table) -> list[Table]:
    sources = (contract(one) for one in table.inputs if one in pins.snapshots)
    return [source for source in sources if source.change_columns]


def _inputs(built: list[Table]) -> list[Table]:
    """Return what the tables are made from, each once, without those that are among them."""
    own = {table.address for table in built}
    return [
        contract(one)
        for one in dict.fromkeys(one for table in built for one in table.inputs if one not in own)
    ]


def _rule(table: Table) -> Rebuild:
    if table.rebuild is None:
        raise TypeError(f"{table.address} does not say what is made again when its inputs change")
    return table.rebuild
