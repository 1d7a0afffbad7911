"""Recorded TestGrid folders, replayed as they are or as they would have been at a time."""

import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ciworld.clock import Span, milliseconds
from ciworld.payload import Json, Payload, PayloadCache
from ciworld.recorded.base import RecordedError, read_json
from ciworld.services.testgrid.grid import (
    OVERALL_CODES,
    STALE_WARNING,
    Grid,
    cut_table,
    normalise,
    summarise,
)
from ciworld.services.testgrid.volatile import table_etag, table_payload


class RecordedDashboards:
    """A folder tree of recordings: a dashboard is a folder with a summary, its other files are tabs."""

    def __init__(self, root: Path, cache_bytes: int = 256 * 1024 * 1024):
        self._span: Span | None = None
        self._folders: dict[str, Path] = {}
        self._tabs: dict[tuple[str, str], Path] = {}
        self._grids: dict[Path, Grid] = {}
        self._summaries: dict[str, Json] = {}
        self._cache = PayloadCache(cache_bytes)
        # Decoding a table takes up to 20 times its file size, so only one is decoded at a time.
        self._decode = threading.Lock()
        for summary in sorted(root.rglob("summary.json.gz")):
            key = normalise(summary.parent.name)
            if key in self._folders:
                raise RecordedError(f"two dashboards named alike: {self._folders[key]}, {summary.parent}")
            self._folders[key] = summary.parent
            for path in summary.parent.glob("*.json.gz"):
                if path != summary:
                    self._tabs[key, path.name.removesuffix(".json.gz")] = path

    @property
    def held_bytes(self) -> int:
        """Return how many bytes of encoded responses are cached."""
        return self._cache.held_bytes

    def dashboards(self) -> list[str]:
        """Return the names of the recorded dashboards."""
        return [folder.name for folder in self._folders.values()]

    def span(self) -> Span | None:
        """Return the first and last day with a run, or None when no table that can be read has one."""
        with self._decode:
            if self._span is None:
                self._span = _span_of(self._tabs.values())
            return self._span

    def summary(self, dashboard: str, as_of: datetime | None) -> Payload | None:
        """Return a dashboard's summary at a time, or None when it is unknown."""
        key = normalise(dashboard)
        folder = self._folders.get(key)
        if folder is None:
            return None
        if as_of is None:
            return self._cache.get(("file", folder), lambda: self._verbatim(folder / "summary.json.gz"))
        return self._cache.get((folder, as_of), lambda: Payload.fixed(self._summary_at(key, as_of)))

    def table(self, dashboard: str, tab: str, as_of: datetime | None, address: str = "") -> Payload | None:
        """Return a tab's table at a time with its links as recorded, or None when it is unknown."""
        path = self._tabs.get((normalise(dashboard), tab))
        if path is None:
            return None
        if as_of is None:
            return self._cache.get(("file", path), lambda: self._verbatim(path))
        ended = as_of.timestamp() >= self._recorded_at(normalise(dashboard), tab)
        grid = self._grid(path)
        newer = grid.newer_than(milliseconds(as_of))
        if ended and not newer:
            return self._cache.get(("file", path), lambda: self._verbatim(path))
        # Everything the response depends on is in the key, so equal responses share one ETag.
        key = (path, newer, grid.is_stale(as_of, newer))
        return self._cache.get(key, lambda: self._table_at(path, newer, as_of))

    def _verbatim(self, path: Path) -> Payload:
        return Payload(table_etag(read_json(path)), path.read_bytes())

    def _recorded_summary(self, key: str) -> Json:
        if key not in self._summaries:
            self._summaries[key] = read_json(self._folders[key] / "summary.json.gz")
        return self._summaries[key]

    def _recorded_at(self, key: str, tab: str) -> float:
        entry = self._recorded_summary(key).get(tab) or {}
        stamps = [e.get("last_update_timestamp") or 0 for e in self._recorded_summary(key).values()]
        return entry.get("last_update_timestamp") or max(stamps, default=0)

    def _load(self, path: Path) -> tuple[Json, Grid]:
        table = read_json(path)
        try:
            grid = self._grids.get(path) or Grid.of_table(table)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordedError(f"{path}: not a TestGrid table: {error!r}") from error
        # Names repeat in most tables; interning keeps one copy of each.
        self._grids[path] = replace(grid, names=[sys.intern(n) for n in grid.names])
        return table, self._grids[path]

    def _grid(self, path: Path) -> Grid:
        if path not in self._grids:
            with self._decode:
                if path not in self._grids:
                    self._load(path)
        return self._grids[path]

    def _table_at(self, path: Path, newer: int, as_of: datetime) -> Payload:
        with self._decode:
            table, grid = self._load(path)
            table = cut_table(table, newer)
            left = grid.since(newer)
            overall = left.status(as_of)[0]
            table["num-stale-tests"] = left.stale_rows()
            table["overall-status"] = OVERALL_CODES.get(overall, 0)
            if overall == "STALE":
                table["alerts"] = STALE_WARNING
            return table_payload(table)

    def _summary_at(self, key: str, as_of: datetime) -> Json:
        name = self._folders[key].name
        return {
            tab: self._entry_at(key, name, tab, entry, as_of)
            for tab, entry in self._recorded_summary(key).items()
        }

    def _entry_at(self, key: str, name: str, tab: str, entry: Json, as_of: datetime) -> Json:
        if as_of.timestamp() >= self._recorded_at(key, tab):
            return entry
        last_run = entry.get("last_run_timestamp") or 0
        unit = 1000 if last_run > 100_000_000_000 else 1
        path = self._tabs.get((key, tab))
        grid = self._grid(path) if path else _EMPTY
        fresh = summarise(name, grid.since(grid.newer_than(milliseconds(as_of))), as_of, unit)
        return {field: value for field, value in fresh.items() if field in entry}


def _span_of(paths: Iterable[Path]) -> Span | None:
    stamps: list[int] = []
    for path in paths:
        try:
            found = read_json(path)["timestamps"]
            stamps += [min(found), max(found)] if found else []
        except (RecordedError, KeyError, TypeError) as error:
            # A request for this table gets the error; the others can be played.
            sys.stderr.write(f"ciworld: {path}: left out of the span of days: {error!r}\n")
    if not stamps:
        return None
    first, last = (datetime.fromtimestamp(at / 1000, UTC).date() for at in (min(stamps), max(stamps)))
    return Span(first, last)


_EMPTY = Grid.of_table({"timestamps": [], "tests": [], "changelists": [], "column_ids": [], "groups": []})
