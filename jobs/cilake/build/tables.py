"""Builds of tables that follow from other tables, as their contracts say: inputs, periods and order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession

from cilake.build.inputs import open_inputs
from cilake.build.made import Extras, make_rows
from cilake.build.months import Group, make_months, plan_months
from cilake.build.targets import Target, affected_periods, targets_of, watched_by
from cilake.contracts.model import Table
from cilake.contracts.registry import made_by
from cilake.lake.catalog import create_missing, open_catalog, set_properties
from cilake.lake.changes import built_from, changed_dates, held_dates, mark_built
from cilake.lake.session import spark_session
from cilake.lake.snapshots import Pins, pin, snapshot_id
from cilake.landing.incomplete import log_if_incomplete
from cilake.log import logger
from cilake.publish.audit import auditor
from cilake.publish.months import Months
from cilake.publish.replace import Replacement, replace_days
from cilake.publish.restatements import Restatement
from cilake.settings import Settings
from cilake.transforms.engines import Engine, SparkEngine
from cilake.windows import Window


def build_tables(
    settings: Settings,
    window: Window,
    *,
    step: str,
    extras: Extras | None = None,
    also: Mapping[str, Iterable[date]] | None = None,
) -> dict[str, int]:
    """Make the periods of a step's tables again whose inputs changed since they were made last.

    A row that moved counts with the day that it left, too. The window only names the day that the run is for.
    ``also`` are periods by address that follow from something that is no input.
    Returns the number of rows written to each table.
    """
    catalog = open_catalog(settings)
    create_missing(catalog, made_by(step))
    log_if_incomplete(catalog, window)
    targets = targets_of(step)
    pins = pin(catalog, *_inputs(targets))
    affected = _find_affected(catalog, pins, targets)
    for target in targets:
        of_table = (also or {}).get(target.table.address, ())
        affected[target.table] = sorted({*affected[target.table], *of_table})
    counts = dict.fromkeys((target.table.address for target in targets), 0)
    marks = {target.table: _marks(pins, target, targets) for target in targets}
    if not any(affected.values()):
        for target in targets:
            set_properties(catalog, target.table, marks[target.table])
        logger.info(f"{step}: no input has changed")
        return counts
    with spark_session(settings, app_name=f"{step} {window.start}") as spark:
        audit = auditor(settings, catalog, day=window.start)

        def replace(replacements: list[Replacement]) -> dict[str, int]:
            return replace_days(spark, catalog, replacements, audit=audit, run_id=f"{step}_{window.start}")

        work = [(target, affected[target.table]) for target in targets]
        return counts | _build(
            spark, settings, catalog, pins, work, replace, marks=marks, extras=extras or {}
        )


def rebuild_tables(
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    window: Window,
    restatement: Restatement,
    *,
    step: str,
    tables: list[Table],
    extras: Extras | None = None,
) -> None:
    """Make the periods of a step's tables again that follow from rows of the window's days.

    Of tables about other rows, such as predictions, these are the days of those rows.
    """
    targets = targets_of(step, tables)
    pins = pin(catalog, *_inputs(targets))
    audit = auditor(settings, catalog, day=window.start)
    run_id = f"rebuild_{step}_{window.start}"

    def replace(replacements: list[Replacement]) -> dict[str, int]:
        return replace_days(spark, catalog, replacements, audit=audit, run_id=run_id, note=restatement.note)

    work = []
    for target in targets:
        source = target.about[0].address if target.about else ""
        work.append((target, target.rule.affected_by(window.days, source)))
    _build(spark, settings, catalog, pins, work, replace, marks={}, extras=extras or {})


def _build(
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    pins: Pins,
    work: list[tuple[Target, list[date]]],
    replace: Callable[[list[Replacement]], dict[str, int]],
    *,
    marks: Mapping[Table, Mapping[str, str]],
    extras: Extras,
) -> dict[str, int]:
    """Replace the periods of each target, in rounds: what is made from others of them comes after these."""
    counts: dict[str, int] = {}
    maker = _Maker(spark, settings, catalog, pins, extras)
    left = list(work)
    while left:
        waiting = {target.table for target, _ in left}
        ready = [one for one in left if not waiting & set(one[0].inputs.values())]
        left = [one for one in left if one not in ready]
        replacements = []
        for target, periods in ready:
            if kept := _keep_with_rows(catalog, pins, target, periods):
                replacements.append((target, kept))
            else:
                set_properties(catalog, target.table, marks.get(target.table, {}))
        if replacements:
            made = maker.make(replacements)
            counts |= replace(
                [
                    Replacement(
                        target.table,
                        column=target.rule.column,
                        where=target.where,
                        properties=marks.get(target.table, {}),
                        rows=rows,
                        days=days,
                    )
                    for (target, _), (rows, days) in zip(replacements, made, strict=True)
                ]
            )
    return counts


def _keep_with_rows(catalog: Catalog, pins: Pins, target: Target, periods: list[date]) -> list[date]:
    """Return the periods that the target has rows for, or would have rows for."""
    if not target.about or not periods:
        return periods
    days = target.rule.days_of(periods)
    found = held_dates(catalog, target.table, target.rule.column, days, where=target.where)
    for one in target.about:
        found |= held_dates(catalog, one, str(one.day_column), days, snapshot=pins.snapshots.get(one.address))
    return [period for period in periods if found & target.rule.days_of([period])]


Made: TypeAlias = DataFrame | pa.Table | Months
"""What a table should hold, as ``Replacement`` takes it."""


@dataclass(frozen=True, slots=True)
class _Maker:
    """What makes periods of tables by the transforms at their addresses."""

    spark: SparkSession
    settings: Settings
    catalog: Catalog
    pins: Pins
    extras: Extras

    def make(self, work: list[tuple[Target, list[date]]]) -> list[tuple[Made, list[date]]]:
        """Return what each table should hold, and for which periods: those asked for, or all of their months.

        Where its inputs are few a table is made in this process, else month by month in workers, or in Spark.
        """
        made: dict[Table, tuple[Made, list[date]]] = {}
        grouped: dict[Table, list[Group]] = {}
        for target, periods in work:
            engine, inputs = self._open(target, periods)
            is_large = isinstance(engine, SparkEngine)
            if is_large and (groups := plan_months(self.catalog, self.pins, target, periods)):
                grouped[target.table] = groups
                continue
            try:
                made[target.table] = make_rows(engine, target, periods, inputs, self.extras), periods
            except MemoryError as error:
                made[target.table] = self._make_in_spark(target, periods, error), periods
        try:
            for table, files in self._make_months(grouped).items():
                made[table] = files, [one for group in grouped[table] for one in group.all_periods]
        except MemoryError as error:
            for target, periods in work:
                if target.table in grouped:
                    made[target.table] = self._make_in_spark(target, periods, error), periods
        return [made[target.table] for target, _ in work]

    def _make_months(self, grouped: Mapping[Table, list[Group]]) -> Mapping[Table, Months]:
        groups = [group for of_table in grouped.values() for group in of_table]
        return make_months(self.spark, self.settings, groups, self.extras) if groups else {}

    def _make_in_spark(self, target: Target, periods: list[date], exceeded: MemoryError) -> DataFrame:
        logger.warning(f"{target.table.address}: {exceeded}; making it in Spark")
        engine, inputs = self._open(target, periods, limit=0)
        made: DataFrame = make_rows(engine, target, periods, inputs, self.extras)
        return made

    def _open(
        self, target: Target, periods: list[date], limit: int | None = None
    ) -> tuple[Engine[Any], dict[str, Any]]:
        wanted = {
            argument: (one, target.rule.reach_of(periods, one.address))
            for argument, one in target.inputs.items()
        }
        return open_inputs(self.spark, self.catalog, self.pins, wanted, limit=limit)


def _find_affected(catalog: Catalog, pins: Pins, targets: list[Target]) -> dict[Table, list[date]]:
    """Return the periods of each table of which an input has changed since the table was made last."""
    changed: dict[tuple[str, int | None], list[date]] = {}
    affected = {}
    for target in targets:
        periods: set[date] = set()
        for source in watched_by(target, targets):
            since, until = built_from(catalog, target.table, source, part=target.part), pins.of(source)
            if until is None or since == until:
                continue
            if since is None:  # never built, or the snapshot is gone: what the table holds may be gone, too
                periods.update(_periods_held(catalog, target))
            if (source.address, since) not in changed:
                column = str(source.day_column)
                changed[source.address, since] = changed_dates(
                    catalog, source, column, identity=source.change_columns, since=since, until=until
                )
                logger.info(f"{source.address}: {len(changed[source.address, since]):,} days changed")
            periods.update(affected_periods(target, source, changed[source.address, since], targets))
        affected[target.table] = sorted(periods)
    return affected


def _periods_held(catalog: Catalog, target: Target) -> list[date]:
    """Return the periods that a table has rows of."""
    snapshot = snapshot_id(catalog, target.table)
    if snapshot is None:
        return []
    return changed_dates(catalog, target.table, target.rule.column, identity=(), since=None, until=snapshot)


def _marks(pins: Pins, target: Target, targets: list[Target]) -> dict[str, str]:
    """Return the properties of a table that say up to which snapshots of its inputs it is made."""
    marks: dict[str, str] = {}
    for source in watched_by(target, targets):
        marks |= mark_built(source, pins.of(source), part=target.part)
    return marks


def _inputs(targets: list[Target]) -> list[Table]:
    """Return what the targets are made from, each once, without those that are among them."""
    own = {target.table for target in targets}
    inputs = dict.fromkeys(one for target in targets for one in target.inputs.values())
    return [one for one in inputs if one not in own]
