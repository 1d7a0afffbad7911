"""TestGrid's legacy JSON: run lengths, cutting a table at a time, and the summary of a grid.

The format is described in TestGrid's own repository (pb/state, pb/summary) and its legacy frontend.
"""

import itertools
import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ciworld.clock import milliseconds
from ciworld.payload import Json
from ciworld.world.statuses import FLAKY, NO_RESULT, RUNNING

PASSING = (1, 2, 3, 15)
FAILING = (9, 10, 11, 12, 14)
RECENT_COLUMNS = 10
FAILURES_TO_ALERT = 3
STALE_DAYS = 10
STALE_WARNING = "Warning: Test results are stale."
_IS_PASS = np.isin(np.arange(256), PASSING)
_IS_FAIL = np.isin(np.arange(256), FAILING)
_ICONS = {
    "PASSING": "done",
    "FAILING": "warning",
    "FLAKY": "remove_circle_outline",
    "STALE": "error_outline",
}
OVERALL_CODES = {"PASSING": 2, "FAILING": 3, "FLAKY": 4, "STALE": 5}


class BadTableError(ValueError):
    """Raised when a table breaks the decoding rules of the format."""


def normalise(name: str) -> str:
    """Return the name as TestGrid compares it: ASCII letters and digits only, lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def encode_runs(values: np.ndarray) -> list[dict[str, int]]:
    """Return the run-length coding of a row of cell codes."""
    if len(values) == 0:
        return []
    edges = np.flatnonzero(np.diff(values)) + 1
    starts = np.concatenate(([0], edges))
    counts = np.diff(np.concatenate((starts, [len(values)])))
    codes = values[starts]
    return [{"count": c, "value": v} for c, v in zip(counts.tolist(), codes.tolist(), strict=True)]


def cut_row(row: Json, newer: int) -> Json | None:
    """Return the row without its `newer` newest cells, or None when nothing is left in it."""
    runs = row["statuses"]
    left, skipped, index = newer, 0, 0
    while left and index < len(runs):
        count = runs[index]["count"]
        taken = min(count, left)
        if runs[index]["value"] != NO_RESULT:
            skipped += taken
        left -= taken
        if taken < count:
            runs = [{"count": count - taken, "value": runs[index]["value"]}, *runs[index + 1 :]]
            index = -1
            break
        index += 1
    if index > 0:
        runs = runs[index:]
    if all(run["value"] == NO_RESULT for run in runs):
        return None
    return {
        **row,
        "alert": None,
        "messages": row["messages"][skipped:],
        "short_texts": row["short_texts"][skipped:],
        "statuses": runs,
    }


def cut_table(table: Json, newer: int) -> Json:
    """Return the table as it was before its `newer` newest columns existed.

    Everything that is derived from the whole grid (alerts, clusters, notifications) is emptied, because
    it could show what was still to come.
    """
    width = len(table["timestamps"])
    out = dict(table)
    for key in ("changelists", "column_ids", "timestamps", "groups"):
        if key in table:
            out[key] = table[key][newer:]
    gone = newer >= width
    headers = table.get("custom-columns") or []
    out["custom-columns"] = [] if gone else [line[newer:] for line in headers]
    rows, ids = [], []
    row_ids = table.get("row_ids") or [row.get("target", row["name"]) for row in table["tests"]]
    if not gone:
        for row, row_id in zip(table["tests"], row_ids, strict=True):
            cut = cut_row(row, newer)
            if cut is not None:
                rows.append(cut)
                ids.append(row_id)
    out["tests"], out["row_ids"] = rows, ids
    for key in ("clusters", "notifications"):
        if key in table:
            out[key] = None
    out.pop("alerts", None)
    if "latest-green" in table:
        out["latest-green"] = ""
    return out


@dataclass(frozen=True)
class Grid:
    """The cells of one tab, columns newest first: what a summary is computed from."""

    names: list[str]
    cells: np.ndarray
    timestamps: list[int]
    changelists: list[str]

    @classmethod
    def of_table(cls, table: Json) -> "Grid":
        """Return the grid of a decoded table; a table that breaks the format is a BadTableError."""
        timestamps, rows = table["timestamps"], table["tests"]
        width = len(timestamps)
        if any(a < b for a, b in itertools.pairwise(timestamps)):
            raise BadTableError("timestamps do not descend")
        if any(len(table[key]) != width for key in ("changelists", "column_ids", "groups")):
            raise BadTableError("the column lists differ in length")
        runs = [run for row in rows for run in row["statuses"]]
        counts = np.fromiter((run["count"] for run in runs), np.int64, len(runs))
        values = np.fromiter((run["value"] for run in runs), np.uint8, len(runs))
        if any(sum(run["count"] for run in row["statuses"]) != width for row in rows):
            raise BadTableError("a row's run lengths do not add up to the number of columns")
        cells = np.repeat(values, counts).reshape(len(rows), width)
        return cls([row["name"] for row in rows], cells, timestamps, table["changelists"])

    def newer_than(self, at_ms: int) -> int:
        """Return how many columns start after the time."""
        return next((i for i, t in enumerate(self.timestamps) if t <= at_ms), len(self.timestamps))

    def is_stale(self, as_of: datetime, newer: int = 0) -> bool:
        """Return whether the last run, the `newer` newest columns aside, is long before the time."""
        if newer >= len(self.timestamps):
            return True
        return milliseconds(as_of) - self.timestamps[newer] > STALE_DAYS * 86_400_000

    def since(self, newer: int) -> "Grid":
        """Return the grid without its `newer` newest columns and the rows that become empty."""
        cells = self.cells[:, newer:]
        keep = np.flatnonzero(cells.any(axis=1))
        names = [self.names[i] for i in keep]
        return Grid(names, cells[keep], self.timestamps[newer:], self.changelists[newer:])

    def stale_rows(self) -> int:
        """Return how many rows have no result in the recent columns."""
        return int((~self.cells[:, :RECENT_COLUMNS].any(axis=1)).sum())

    def alerts(self) -> list[tuple[int, int, int, int | None]]:
        """Return (row, failures, column of the first failure, column of the last pass) per alerting row."""
        found = []
        for row in np.flatnonzero(_IS_FAIL[self.cells[:, :RECENT_COLUMNS]].any(axis=1)):
            line = self.cells[row]
            seen = np.flatnonzero((line != NO_RESULT) & (line != RUNNING))
            failing = _IS_FAIL[line[seen]]
            streak = len(seen) if failing.all() else int(np.argmin(failing))
            if streak >= FAILURES_TO_ALERT:
                good = int(seen[streak]) if streak < len(seen) else None
                found.append((int(row), streak, int(seen[streak - 1]), good))
        return found

    def latest_green(self) -> str:
        """Return the build id of the newest column without a failing cell, or TestGrid's words for none."""
        passed = _IS_PASS[self.cells].any(axis=0) & ~_IS_FAIL[self.cells].any(axis=0)
        passed &= ~(self.cells == RUNNING).any(axis=0)
        index = np.flatnonzero(passed)
        return self.changelists[index[0]] if len(index) else "no recent greens"

    def status(self, as_of: datetime) -> tuple[str, str]:
        """Return (overall status, status text) at a time, by the rules of TestGrid's summarizer."""
        if not self.timestamps:
            return "STALE", "no completed results"
        recent = self.cells[:, :RECENT_COLUMNS]
        good, bad = _IS_PASS[recent], _IS_FAIL[recent]
        flaky = recent == FLAKY
        done = (good | bad | flaky).any(axis=0)
        passed = (good | flaky).any(axis=0) & ~bad.any(axis=0)
        cells = int((good | bad | flaky).sum())
        if not cells:
            return "PENDING", "no completed results"
        text = (
            f"{passed.sum()} of {done.sum()} ({100 * passed.sum() / done.sum():.1f}%) recent columns passed "
            f"({good.sum()} of {cells} or {100 * good.sum() / cells:.1f}% cells)"
        )
        if self.is_stale(as_of):
            return "STALE", text
        if self.alerts():
            return "FAILING", text
        return ("FLAKY" if bad.any() or flaky.any() else "PASSING"), text


def summarise(dashboard: str, grid: Grid, as_of: datetime, run_unit: int = 1) -> Json:
    """Return the summary of a tab from its grid alone, so that nothing later than the time can show.

    `run_unit` is what one second is in `last_run_timestamp`: some recorded back ends wrote milliseconds.
    """
    overall, text = grid.status(as_of)
    updated = int(as_of.timestamp()) // 3600 * 3600
    tests = []
    for row, streak, first, good in grid.alerts():
        name = grid.names[row]
        tests.append(
            {
                "display_name": name,
                "test_name": name,
                "fail_count": streak,
                "fail_timestamp": grid.timestamps[first] * run_unit // 1000,
                "pass_timestamp": 0 if good is None else grid.timestamps[good] * run_unit // 1000,
                "build_link": "",
                "build_url_text": "",
                "build_link_text": "",
                "failure_message": "",
                "linked_bugs": [],
                "fail_test_link": "",
            }
        )
    return {
        "alert": "" if grid.timestamps else "no completed results",
        "last_run_timestamp": grid.timestamps[0] * run_unit // 1000 if grid.timestamps else 0,
        "last_update_timestamp": updated if grid.timestamps else 0,
        "latest_green": grid.latest_green() if grid.timestamps else "no recent greens",
        "overall_status": overall,
        "overall_status_icon": _ICONS.get(overall, "help"),
        "status": text,
        "tests": tests,
        "dashboard_name": dashboard,
        "healthiness": {"tests": [], "previousFlakiness": -1},
    }
