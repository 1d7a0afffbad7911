"""The world of a seed: its runs at any time, and what every test did in them."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from ciworld.clock import Span
from ciworld.payload import Json
from ciworld.world.runs import FIRST, SECOND, Column, Columns, Run, days_of_build_id, runs_of_day
from ciworld.world.statuses import NO_RESULT
from ciworld.world.truth import describe_truth
from ciworld.world.universe import HISTORY_START, HORIZON, RELEASES, Job, Universe


@dataclass(frozen=True)
class Results:
    """What tests did in some runs of a job: a row per name that has a result, sorted; a column per run."""

    names: list[str]
    codes: np.ndarray
    messages: list[dict[int, str]]
    """The messages of each row, by column."""


class SyntheticWorld:
    """The world of a seed. Days are made when they are first used."""

    def __init__(self, seed: int, releases: int = RELEASES):
        self.universe = Universe(seed, releases)
        self._columns = Columns(self.universe)
        self._making = threading.RLock()
        self._day_runs = lru_cache(maxsize=20_000)(
            lambda number, day: runs_of_day(self.universe, self.universe.jobs[number], day)
        )
        self._truth: Json | None = None

    def identity(self) -> Json:
        """Return what identifies this world, as JSON-ready values."""
        facts = {"kind": "synthetic", "seed": self.universe.seed}
        releases = len(self.universe.releases)
        return facts if releases == RELEASES else facts | {"releases": releases}

    def span(self) -> Span:
        """Return the first and last day of the world."""
        return Span(HISTORY_START.date(), (HORIZON - timedelta(days=1)).date())

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

    def column(self, run: Run, stage: int) -> Column:
        """Return what every test of a run's job did in it by a stage."""
        with self._making:
            return self._columns.column(run, stage)

    def codes(self, run: Run, second: bool = False) -> np.ndarray:
        """Return the final cell codes of a run over its job's tests, before or after its re-run."""
        return self.column(run, SECOND if second else FIRST).codes

    def results(self, job: Job, shown: list[tuple[Run, int]]) -> Results:
        """Return what the tests of a job did in runs, each at a stage; a renamed test has a row per name."""
        universe = self.universe
        columns = [self.column(run, stage) for run, stage in shown]
        if not columns:
            return Results([], np.empty((0, 0), np.uint8), [])
        cells = np.stack([column.codes for column in columns], axis=1)
        texts: dict[int, dict[int, str]] = {}
        for index, column in enumerate(columns):
            for row, text in column.messages.items():
                texts.setdefault(row, {})[index] = text
        rows = []
        for row, test in enumerate(job.tests.tolist()):
            message, rename = texts.get(row, {}), universe.renames.get(test)
            if rename is None:
                rows.append((universe.names[test], cells[row], message))
                continue
            new = np.array([run.started >= rename.at for run, _ in shown])
            rows.append((universe.names[test], np.where(new, NO_RESULT, cells[row]), message))
            rows.append((rename.new_name, np.where(new, cells[row], NO_RESULT), message))
        rows = sorted((row for row in rows if row[1].any()), key=lambda row: row[0])
        lines = np.array([line for _, line, _ in rows], np.uint8).reshape(len(rows), len(columns))
        return Results([name for name, _, _ in rows], lines, [message for _, _, message in rows])

    def truth(self) -> Json:
        """Return everything that is planted until the horizon, whatever the clock says."""
        with self._making:
            if self._truth is None:
                self._truth = describe_truth(self.universe, self.runs)
            return self._truth
