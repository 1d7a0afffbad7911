"""A synthetic world: TestGrid's answers about a universe made from a seed, at any time."""

import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import quote

import numpy as np

from ciworld import pages
from ciworld.clock import Span, iso, milliseconds
from ciworld.payload import Json, Payload, PayloadCache
from ciworld.runs import FIRST, HIDDEN, SECOND, Column, Columns, Run, days_of_build_id, runs_of_day
from ciworld.testgrid import (
    FAIL,
    FLAKY,
    NO_RESULT,
    OVERALL_CODES,
    RUNNING,
    SKIPPED,
    STALE_WARNING,
    Grid,
    encode_runs,
    normalise,
    summarise,
)
from ciworld.universe import (
    ABSENT,
    BASE_FAILURE,
    EPOCH,
    FLAKY_TESTS,
    HISTORY_START,
    HORIZON,
    INFRA_FAILURE,
    PLATFORMS,
    RELEASES,
    Job,
    Universe,
)

__all__ = ["EPOCH", "HISTORY_START", "HORIZON", "SyntheticWorld"]

WINDOW_DAYS = 30
_SHORT = {FAIL: "F", FLAKY: "1/2", SKIPPED: "S", RUNNING: "R"}


@dataclass(frozen=True)
class View:
    """The columns of a job that show at a time, newest first, each with its stage."""

    job: Job
    columns: list[tuple[Run, int]]
    key: str


class SyntheticWorld:
    """The world of a seed. Days are made when they are first asked for."""

    def __init__(self, seed: int, releases: int = RELEASES, cache_bytes: int = 256 * 1024 * 1024):
        self.universe = Universe(seed, releases)
        self._columns = Columns(self.universe)
        self._cache = PayloadCache(cache_bytes)
        self._making = threading.RLock()
        self._tabs = {(normalise(job.dashboard), job.name): job for job in self.universe.jobs}
        self._day_runs = lru_cache(maxsize=20_000)(
            lambda number, day: runs_of_day(self.universe, self.universe.jobs[number], day)
        )
        self._truth: Json | None = None

    def identity(self) -> Json:
        """Return what tells this world from others, as JSON-ready values."""
        told = {"kind": "synthetic", "seed": self.universe.seed}
        releases = len(self.universe.releases)
        return told if releases == RELEASES else told | {"releases": releases}

    def span(self) -> Span:
        """Return the first and last day of the world."""
        return Span(HISTORY_START.date(), (HORIZON - timedelta(days=1)).date())

    def dashboards(self) -> list[str]:
        """Return the names of the dashboards."""
        return list(dict.fromkeys(job.dashboard for job in self.universe.jobs))

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
        return self._cache.get(key, lambda: Payload.varying(self.table_at(view, at, address)))

    def page(self, path: str, as_of: datetime | None) -> pages.Page | None:
        """Return the page of a run or of a job at a time, or None when the path is of neither."""
        return pages.page_at(self, path, as_of or EPOCH)

    def view(self, job: Job, at: datetime) -> View:
        """Return the columns of a job that show at a time."""
        oldest = at - timedelta(days=WINDOW_DAYS)
        day, last = max(oldest, HISTORY_START).date(), at.date()
        columns = []
        digest = hashlib.sha256(job.name.encode())
        while day <= last:
            for run in self._day_runs(job.number, day):
                stage = run.stage(at)
                if stage != HIDDEN and run.started >= oldest:
                    columns.append((run, stage))
                    digest.update(b"%d.%d" % (run.key, stage))
            day += timedelta(days=1)
        return View(job, columns[::-1], digest.hexdigest())

    def grid(self, view: View) -> tuple[Grid, list[list[str]]]:
        """Return the grid of a view and the messages of each row's non-empty cells."""
        job, universe = view.job, self.universe
        with self._making:
            made = [self._columns.column(run, stage) for run, stage in view.columns]
        width = len(made)
        if not width:
            return Grid([], np.empty((0, 0), np.uint8), [], []), []
        cells = np.stack([column.codes for column in made], axis=1)
        texts: dict[int, dict[int, str]] = {}
        for place, column in enumerate(made):
            for row, text in column.messages.items():
                texts.setdefault(row, {})[place] = text
        overall = np.array([column.overall for column in made], np.uint8)
        rows = [("Overall", overall, dict(enumerate(column.overall_message for column in made)))]
        for row, test in enumerate(job.tests.tolist()):
            said, rename = texts.get(row, {}), universe.renames.get(test)
            if rename is None:
                rows.append((universe.names[test], cells[row], said))
                continue
            new = np.array([run.started >= rename.at for run, _ in view.columns])
            rows.append((universe.names[test], np.where(new, NO_RESULT, cells[row]), said))
            rows.append((rename.new_name, np.where(new, cells[row], NO_RESULT), said))
        rows = [row for row in rows if row[1].any()]
        rows[1:] = sorted(rows[1:], key=lambda row: row[0])
        messages = []
        for _, line, said in rows:
            messages.append([said.get(place, "") for place in np.flatnonzero(line).tolist()])
        grid = Grid(
            [name for name, _, _ in rows],
            np.stack([line for _, line, _ in rows]),
            _stamps(view),
            [run.build_id for run, _ in view.columns],
        )
        return grid, messages

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
            "query": f"{pages.BUCKET}/{view.job.name}",
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
            "open-test-template": _template(f"{address}{pages.RUN}<gcs_prefix>/<changelist>"),
            "file-bug-template": _template(""),
            "attach-bug-template": _template(""),
            "results-url-template": _template(f"{address}{pages.HISTORY}<gcs_prefix>"),
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

    def runs(self, job: Job, start: datetime, end: datetime) -> list[Run]:
        """Return the runs of a job that start in [start, end), oldest first."""
        found, day = [], start.date()
        while day <= end.date():
            found += [run for run in self._day_runs(job.number, day) if start <= run.started < end]
            day += timedelta(days=1)
        return found

    def job(self, name: str) -> Job | None:
        """Return the job of a name, or None."""
        return next((job for job in self.universe.jobs if job.name == name), None)

    def run(self, job: Job, build_id: str, at: datetime) -> Run | None:
        """Return the run of a build id that has started by a time, or None."""
        for day in days_of_build_id(build_id):
            if HISTORY_START.date() <= day <= at.date():
                for run in self._day_runs(job.number, day):
                    if run.build_id == build_id and run.started <= at:
                        return run
        return None

    def recent_runs(self, job: Job, at: datetime, count: int) -> list[Run]:
        """Return at most `count` runs of a job that have started by a time, newest first."""
        found: list[Run] = []
        day = at.date()
        while day >= HISTORY_START.date() and len(found) < count:
            found += [run for run in reversed(self._day_runs(job.number, day)) if run.started <= at]
            day -= timedelta(days=1)
        return found[:count]

    def truth(self) -> Json | None:
        """Return everything that is planted until the horizon, whatever the clock says."""
        with self._making:
            if self._truth is None:
                self._truth = self._make_truth()
            return self._truth

    def _make_truth(self) -> Json:
        universe = self.universe
        names, behaviour, jobs = universe.names, universe.behaviour, universe.jobs
        late, rerun = [], []
        for job in jobs:
            for run in self.runs(job, HISTORY_START, HORIZON):
                item = {"job": job.name, "build_id": run.build_id, "started_at": iso(run.started)}
                if run.late:
                    late.append({**item, "visible_at": iso(run.visible)})
                if run.rerun:
                    rerun.append({**item, "final_at": iso(run.final), "rerun_at": iso(run.rerun)})
        by_test: dict[int, list[str]] = {}
        for job in jobs:
            for test in job.tests.tolist():
                by_test.setdefault(test, []).append(job.name)
        flaky = np.flatnonzero(behaviour.flaky).tolist()
        if len(flaky) != FLAKY_TESTS:
            raise ValueError("the flaky tests of the universe are not the planted ones")
        return {
            "seed": universe.seed,
            "epoch": iso(EPOCH),
            "history_start": iso(HISTORY_START),
            "horizon": iso(HORIZON),
            "jobs": [
                {"job": j.name, "dashboard": j.dashboard, "release": j.release, "platform": j.platform}
                for j in jobs
            ],
            "rates": {
                "infra_failure": INFRA_FAILURE,
                "base_failure": BASE_FAILURE,
                "absent": ABSENT,
            },
            "flaky_tests": [
                {
                    "test": names[t],
                    "fail_probability": float(behaviour.fail[t]),
                    "flaky_probability": float(behaviour.flaky[t]),
                    "from": _seconds(behaviour.begins[t]),
                    "until": _seconds(behaviour.ends[t]),
                    "platform": PLATFORMS[behaviour.platform[t]] if behaviour.platform[t] >= 0 else None,
                    "jobs": by_test[t],
                }
                for t in flaky
            ],
            "regressions": [
                {
                    "id": r.number,
                    "start": iso(r.start),
                    "fix": iso(r.fix),
                    "tests": sorted(names[t] for t in r.tests),
                    "jobs": sorted(jobs[j].name for j in r.jobs),
                    "fail_probability": r.probability,
                    "message": r.message,
                }
                for r in universe.regressions
            ],
            "outages": [
                {
                    "id": o.number,
                    "start": iso(o.start),
                    "end": iso(o.end),
                    "jobs": sorted(jobs[j].name for j in o.jobs),
                    "mode": o.mode,
                }
                for o in universe.outages
            ],
            "renames": [
                {"old": names[r.test], "new": r.new_name, "at": iso(r.at), "jobs": by_test[r.test]}
                for r in universe.renames.values()
            ],
            "late_columns": late,
            "rerun_columns": rerun,
        }

    def results(self, run: Run, stage: int) -> tuple[Grid, list[list[str]]]:
        """Return the grid of one run alone at a stage, and the messages of its rows."""
        return self.grid(View(self.universe.jobs[run.job], [(run, stage)], ""))

    def column(self, run: Run, stage: int) -> Column:
        """Return what every test of a run's job did in it by a stage."""
        with self._making:
            return self._columns.column(run, stage)

    def codes(self, run: Run, second: bool = False) -> np.ndarray:
        """Return the final cell codes of a run over its job's tests, before or after its re-run."""
        return self.column(run, SECOND if second else FIRST).codes


def _stamps(view: View) -> list[int]:
    return [milliseconds(run.started) for run, _ in view.columns]


def _seconds(timestamp: float) -> str:
    return iso(datetime.fromtimestamp(timestamp, tz=EPOCH.tzinfo))


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
