"""The dashboards of a synthetic world, as TestGrid shows them at any time."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import numpy as np

from ciworld.clock import milliseconds
from ciworld.payload import Json, Payload, PayloadCache
from ciworld.services.run_pages.pages import BUCKET, HISTORY, RUN
from ciworld.services.testgrid.grid import (
    OVERALL_CODES,
    STALE_WARNING,
    Grid,
    encode_runs,
    normalise,
    summarise,
)
from ciworld.services.testgrid.volatile import table_payload
from ciworld.world.runs import HIDDEN, Run
from ciworld.world.statuses import FAIL, FLAKY, NO_RESULT, RUNNING, SKIPPED
from ciworld.world.synthetic import SyntheticWorld
from ciworld.world.universe import EPOCH, HISTORY_START, Job

WINDOW_DAYS = 30
_SHORT = {FAIL: "F", FLAKY: "1/2", SKIPPED: "S", RUNNING: "R"}


@dataclass(frozen=True)
class View:
    """The runs of a job that show at a time, newest first, each with its stage."""

    job: Job
    columns: list[tuple[Run, int]]
    key: str


class SyntheticDashboards:
    """A dashboard per release and kind of job, a tab per job; tables are made on demand."""

    def __init__(self, world: SyntheticWorld, cache_bytes: int = 256 * 1024 * 1024):
        self._world = world
        self._cache = PayloadCache(cache_bytes)
        self._tabs = {(normalise(job.dashboard), job.name): job for job in world.universe.jobs}

    def dashboards(self) -> list[str]:
        """Return the names of the dashboards."""
        return list(dict.fromkeys(job.dashboard for job in self._world.universe.jobs))

    def summary(self, dashboard: str, as_of: datetime | None) -> Payload | None:
        """Return a dashboard's summary at a time (the epoch without one), or None when it is unknown."""
        at = as_of or EPOCH
        wanted = normalise(dashboard)
        jobs = [job for (board, _), job in self._tabs.items() if board == wanted]
        if not jobs:
            return None
        return self._cache.get((wanted, at), lambda: Payload.fixed(self._summary_at(jobs, at)))

    def table(self, dashboard: str, tab: str, as_of: datetime | None, address: str = "") -> Payload | None:
        """Return a tab's table at a time (the epoch without one), or None when it is unknown.

        The links of its runs lead to the pages at `address`, the base address of the server.
        """
        at = as_of or EPOCH
        job = self._tabs.get((normalise(dashboard), tab))
        if job is None:
            return None
        view = self.view(job, at)
        stale = Grid([], np.empty((0, 0)), _stamps(view), []).is_stale(at)
        key = (view.key, stale, address)
        return self._cache.get(key, lambda: table_payload(self.table_at(view, at, address)))

    def view(self, job: Job, at: datetime) -> View:
        """Return the runs of a job that show at a time."""
        oldest = max(at - timedelta(days=WINDOW_DAYS), HISTORY_START)
        columns = []
        digest = hashlib.sha256(job.name.encode())
        for run in self._world.runs(job, oldest, at + timedelta(seconds=1)):
            stage = run.stage(at)
            if stage != HIDDEN:
                columns.append((run, stage))
                digest.update(b"%d.%d" % (run.key, stage))
        return View(job, columns[::-1], digest.hexdigest())

    def grid(self, view: View) -> tuple[Grid, list[list[str]]]:
        """Return the grid of a view, Overall first, and the messages of each row's non-empty cells."""
        if not view.columns:
            return Grid([], np.empty((0, 0), np.uint8), [], []), []
        results = self._world.results(view.job, view.columns)
        verdicts = [self._world.column(run, stage) for run, stage in view.columns]
        overall = np.array([[verdict.overall for verdict in verdicts]], np.uint8)
        cells = np.concatenate((overall, results.codes))
        by_row = [
            {index: verdict.overall_message for index, verdict in enumerate(verdicts)},
            *results.messages,
        ]
        messages = [
            [texts.get(index, "") for index in np.flatnonzero(line).tolist()]
            for texts, line in zip(by_row, cells, strict=True)
        ]
        builds = [run.build_id for run, _ in view.columns]
        return Grid(["Overall", *results.names], cells, _stamps(view), builds), messages

    def table_at(self, view: View, at: datetime, address: str = "") -> Json:
        """Return the whole table of a view in TestGrid's legacy form; links begin with the address."""
        grid, messages = self.grid(view)
        overall = grid.status(at)[0]
        alerts = {row: (streak, first, good) for row, streak, first, good in grid.alerts()}
        tests = []
        for row, name in enumerate(grid.names):
            line = grid.cells[row]
            tests.append(
                {
                    "name": name,
                    "original-name": name,
                    "alert": _alert(grid, messages[row], name, *alerts[row]) if row in alerts else None,
                    "linked_bugs": [],
                    "messages": messages[row],
                    "short_texts": [_SHORT.get(code, "") for code in line[line != NO_RESULT].tolist()],
                    "statuses": encode_runs(line),
                    "target": name,
                    "user_property": None,
                }
            )
        ids = grid.changelists
        commits = [run.commit for run, _ in view.columns]
        table = {
            "test-group-name": normalise(view.job.name),
            "query": f"{BUCKET}/{view.job.name}",
            "summary": "",
            "bugs": {},
            "changelists": ids,
            "column_ids": [f"\ue000{build}" for build in ids],
            "custom-columns": [commits, [""] * len(ids)] if ids else [],
            "column-header-names": ["Date", "Time", "Build Number", "Commit", "Infra-Commit"],
            "groups": [""] * len(ids),
            "metrics": ["test-duration-minutes"],
            "tests": tests,
            "row_ids": grid.names,
            "timestamps": grid.timestamps,
            "clusters": None,
            "test_id_map": None,
            "test-metadata": {},
            "stale-test-threshold": 10,
            "num-stale-tests": grid.stale_rows(),
            "add-tabular-names-option": False,
            "show-tabular-names": False,
            "description": "",
            "bug-component": 0,
            "code-search-path": "",
            "open-test-template": _template(f"{address}{RUN}<gcs_prefix>/<changelist>"),
            "file-bug-template": _template(""),
            "attach-bug-template": _template(""),
            "results-url-template": _template(f"{address}{HISTORY}<gcs_prefix>"),
            "code-search-url-template": _template(""),
            "about-dashboard-url": "",
            "open-bug-template": _template(""),
            "context-menu-template": _template(""),
            "column-diff-link-templates": None,
            "results-text": "See these results",
            "latest-green": "",
            "triage-enabled": False,
            "notifications": None,
            "overall-status": OVERALL_CODES.get(overall, 0),
        }
        return table | ({"alerts": STALE_WARNING} if overall == "STALE" else {})

    def _summary_at(self, jobs: list[Job], at: datetime) -> Json:
        return {job.name: summarise(job.dashboard, self.grid(self.view(job, at))[0], at) for job in jobs}


def _stamps(view: View) -> list[int]:
    return [milliseconds(run.started) for run, _ in view.columns]


def _template(url: str) -> Json:
    return {"url": url, "name": "", "options": {}}


def _alert(grid: Grid, messages: list[str], name: str, streak: int, first: int, good: int | None) -> Json:
    last_message = next((text for text in messages if text), "")
    return {
        "fail-cl": grid.changelists[first],
        "fail-count": streak,
        "fail-time": grid.timestamps[first],
        "text": last_message,
        "message": last_message,
        "link-text": "",
        "link": "",
        "url-text": "",
        "test-id": quote(name),
        "pass-cl": "" if good is None else grid.changelists[good],
        "pass-count": 0 if good is None else 1,
        "pass-time": 0 if good is None else grid.timestamps[good],
        "code-search-path": "",
        "test-name": name,
        "properties": {},
        "hotlist_ids": [],
    }
