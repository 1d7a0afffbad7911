"""What a table gained, lost or corrected since a snapshot: what a consumer of it has left to do.

A consumer notes in a property of its table up to which snapshot of an input it has worked, in the commit
that publishes what follows from it. Nothing is missed when a run is killed, comes late or is for another day.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And
from pyiceberg.expressions.parser import parse
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import ancestors_of

from cilake.contracts.model import Table
from cilake.lake.catalog import set_properties
from cilake.lake.files import read_files

_PROPERTY = "cilake.built-from."
_RESTATED = "cilake.restated-dates"
KEPT_NOTES = 20
"""How many notes of restated dates a table keeps; the oldest become one, which has all their dates."""


def mark_built(source: Table, snapshot: int | None, *, part: str = "") -> dict[str, str]:
    """Return the property with which a consumer says that it has worked up to a snapshot of ``source``.

    Where several consumers share a table, such as models, ``part`` names the one whose rows are meant.
    """
    return {} if snapshot is None else {_name(source, part): str(snapshot)}


def built_from(catalog: Catalog, consumer: Table, source: Table, *, part: str = "") -> int | None:
    """Return the snapshot of ``source`` up to which the consumer has worked; ``None`` before the first time.

    Also ``None`` for a snapshot that is no longer there: then everything is to be worked on.
    """
    noted = catalog.load_table(consumer.address).properties.get(_name(source, part))
    if noted is None or catalog.load_table(source.address).snapshot_by_id(int(noted)) is None:
        return None
    return int(noted)


def note_restated(catalog: Catalog, table: Table, snapshot: int, dates: Iterable[date]) -> None:
    """Note that what is published after a snapshot restates these dates, whatever the rows show of it.

    It is for rows of other tables. Noted before they are published, no kill loses it; that nothing may follow
    costs a look at dates that have not changed.
    """
    notes = _notes(catalog.load_table(table.address))
    notes.append((snapshot, sorted(day.isoformat() for day in dates)))
    while len(notes) > KEPT_NOTES:
        (_, oldest), (base, older) = notes[:2]
        notes[:2] = [(base, sorted({*oldest, *older}))]
    set_properties(catalog, table, {_RESTATED: json.dumps(notes)})


def changed_dates(
    catalog: Catalog, table: Table, column: str, *, identity: Sequence[str], since: int | None, until: int
) -> list[date]:
    """Return the dates in ``column`` of rows that differ between two snapshots, sorted.

    A corrected row counts with the date that it had and with the one that it has. Rows are distinguished by
    the columns of ``identity``, so files that were only merged count for nothing (files of another
    partitioning may count too much). Dates noted as restated count, too. ``since=None`` means the empty
    table.
    """
    present = catalog.load_table(table.address)
    before = _files(present, since, column) if since is not None else {}
    after = _files(present, until, column)
    columns = [column, *(name for name in identity if name != column)]
    dates = _restated(present, since, until) if since is not None else set()
    for part in before.keys() | after.keys():  # one at a time, so that a large part is all that memory holds
        old, new = before.get(part, set()), after.get(part, set())
        gone, come = _count(present, old - new, columns), _count(present, new - old, columns)
        joined = gone.join(come, columns, join_type="full outer", left_suffix="_gone", right_suffix="_come")
        differs = pc.not_equal(pc.fill_null(joined["rows_gone"], 0), pc.fill_null(joined["rows_come"], 0))
        dates.update(joined.filter(differs)[column].unique().to_pylist())
    return sorted(dates)


def held_dates(
    catalog: Catalog,
    table: Table,
    column: str,
    among: Collection[date],
    *,
    where: str = "true",
    snapshot: int | None = None,
) -> set[date]:
    """Return those of the dates of which a table, now or at a snapshot, has rows that meet ``where``."""
    if not among:
        return set()
    between = f"{column} >= '{min(among)}' AND {column} <= '{max(among)}'"
    scan = catalog.load_table(table.address).scan(
        And(parse(between), parse(where)), selected_fields=(column,), snapshot_id=snapshot
    )
    return set(scan.to_arrow()[column].unique().to_pylist()) & set(among)


def _restated(present: IcebergTable, since: int, until: int) -> set[date]:
    """Return the dates noted as restated after a snapshot between two; where these are not in line, all."""
    passed: set[int] = set()
    for snapshot in ancestors_of(present.metadata.snapshot_by_id(until), present.metadata):
        passed.add(snapshot.snapshot_id)
        if snapshot.snapshot_id == since:
            break
    is_in_line = since in passed  # not after a rollback
    noted = [dates for base, dates in _notes(present) if base in passed or not is_in_line]
    return {date.fromisoformat(text) for dates in noted for text in dates}


def _notes(present: IcebergTable) -> list[tuple[int, list[str]]]:
    return [(base, dates) for base, dates in json.loads(present.properties.get(_RESTATED, "[]"))]


def _name(source: Table, part: str) -> str:
    return f"{_PROPERTY}{source.address}" + (f".of.{part}" if part else "")


def _files(present: IcebergTable, snapshot: int, column: str) -> dict[str, set[str]]:
    """Return the paths of the files by partition if a date of ``column`` is in one only, else together."""
    source = present.schema().find_field(column).field_id
    specs = present.specs()
    parts: dict[str, set[str]] = {}
    for task in present.scan(snapshot_id=snapshot).plan_files():
        fields = specs[task.file.spec_id].fields
        is_by_date = bool(fields) and {field.source_id for field in fields} == {source}
        parts.setdefault(repr(task.file.partition) if is_by_date else "", set()).add(task.file.file_path)
    return parts


def _count(present: IcebergTable, files: set[str], columns: list[str]) -> pa.Table:
    """Count the equal rows of the files, by all columns."""
    rows = read_files(present, sorted(files), columns)
    counted = rows.group_by(columns).aggregate([([], "count_all")])
    return counted.rename_columns([*columns, "rows"])
