"""The runs of a synthetic job: when they start, when they show, and what every test did in them."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from ciworld.clock import milliseconds
from ciworld.world.rng import Rng, key_of, uniforms
from ciworld.world.statuses import FAIL, FLAKY, NO_RESULT, PASS, RUNNING, SKIPPED
from ciworld.world.universe import ABSENT, INFRA_FAILURE, PLATFORMS, Job, Universe

LATE_SHARE = 0.03
RERUN_SHARE = 0.02
BUILD_ID_BACK_SHARE = 0.02
HIDDEN, UNFINISHED, FIRST, SECOND = 0, 1, 2, 3
_BACK = timedelta(hours=30)
_BUILD_ID_ZERO_MS = 1_288_834_974_657
_OUTAGE_TEXT = "failed to create cluster: infrastructure is not available"


@dataclass(frozen=True)
class Run:
    """One run of a job; times are UTC."""

    job: int
    key: int
    build_id: str
    commit: str
    started: datetime
    visible: datetime
    final: datetime
    rerun: datetime | None

    @property
    def late(self) -> bool:
        """Return whether the column shows only long after the run has ended."""
        return self.visible >= self.final

    def stage(self, at: datetime) -> int:
        """Return how far the run is at a time, as dashboards show it."""
        return HIDDEN if at < self.visible else self.own_stage(at)

    def own_stage(self, at: datetime) -> int:
        """Return how far the run is at a time after its start, as the CI itself knows."""
        if at < self.final:
            return UNFINISHED
        return SECOND if self.rerun is not None and at >= self.rerun else FIRST


@dataclass(frozen=True)
class Column:
    """What every test of a job did in a run at a stage; messages only where there is one."""

    overall: int
    codes: np.ndarray
    messages: dict[int, str]
    overall_message: str


def runs_of_day(universe: Universe, job: Job, day: date) -> list[Run]:
    """Return the runs of a job that start on a day, oldest first."""
    rng = Rng(universe.seed, "day", job.name, day)
    count = 3 + rng.below(4)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    runs = []
    for slot in range(count):
        started = midnight + timedelta(seconds=int((slot + rng.uniform(0, 0.95)) * 86_400 / count))
        key = key_of(universe.seed, "run", job.name, started.isoformat())
        own = Rng(key)
        final = started + timedelta(seconds=int(own.uniform(5_400, 16_200)))
        visible, rerun = started + timedelta(minutes=5), None
        fate = own.uniform()
        if fate < LATE_SHARE:
            visible = final + timedelta(seconds=int(own.uniform(6, 30) * 3600))
        elif fate < LATE_SHARE + RERUN_SHARE:
            rerun = final + timedelta(seconds=int(own.uniform(4, 20) * 3600))
        back = _BACK if own.uniform() < BUILD_ID_BACK_SHARE else timedelta(0)
        build_id = (milliseconds(started - back) - _BUILD_ID_ZERO_MS) << 22 | key & 0x3FFFFF
        commit = f"{key_of(universe.seed, 'commit', job.release, day):016x}"[:9]
        runs.append(Run(job.number, key, str(build_id), commit, started, visible, final, rerun))
    return runs


def days_of_build_id(build_id: str) -> list[date]:
    """Return the days on which the run of a build id may have started, none for what is no build id."""
    if not build_id.isascii() or not build_id.isdigit() or not 18 <= len(build_id) <= 19:
        return []
    made = datetime.fromtimestamp(((int(build_id) >> 22) + _BUILD_ID_ZERO_MS) / 1000, tz=UTC)
    return sorted({made.date(), (made + _BACK).date()})


class Columns:
    """Makes the columns of runs and keeps the most recently used ones."""

    def __init__(self, universe: Universe, keep: int = 12_000):
        self._universe = universe
        self._keep = keep
        self._kept: OrderedDict[tuple[int, int], Column] = OrderedDict()

    def column(self, run: Run, stage: int) -> Column:
        """Return the column of a run at a stage; the server's lock makes this safe to call."""
        key = (run.key, stage)
        found = self._kept.get(key)
        if found is None:
            found = self._make(run, stage)
            self._kept[key] = found
            if len(self._kept) > self._keep:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found

    def _make(self, run: Run, stage: int) -> Column:
        universe, job = self._universe, self._universe.jobs[run.job]
        tests = job.tests
        if stage == UNFINISHED:
            return Column(RUNNING, np.zeros(len(tests), np.uint8), {}, "Build still running...")
        keys = universe.keys[tests]
        outcome = uniforms(keys, key_of(run.key, stage, "outcome"))
        codes, messages = self._plain(run, tests, outcome, stage)
        strike = uniforms(keys, key_of(run.key, stage, "strike"))
        for regression in universe.regressions:
            if run.job in regression.jobs and regression.start <= run.started < regression.fix:
                hit = regression.mask[tests] & (strike < regression.probability)
                codes[hit] = FAIL
                for cell in np.flatnonzero(hit).tolist():
                    messages[cell] = (
                        f"fail [test/extended/{universe.sigs[tests[cell]]}.go:61]: {regression.message}"
                    )
        codes[uniforms(keys, key_of(run.key, "absent")) < ABSENT] = NO_RESULT
        mode = self._outage_mode(run) if stage == FIRST else None
        if mode is not None:
            self._break_down(job, mode, codes, messages, strike)
        failed = bool((codes == FAIL).any())
        text = f"{int((codes == FAIL).sum())} tests failed" if failed else ""
        messages = {cell: text for cell, text in messages.items() if codes[cell] != NO_RESULT}
        return Column(FAIL if failed else PASS, codes, messages, _OUTAGE_TEXT if mode else text)

    def _plain(
        self, run: Run, tests: np.ndarray, outcome: np.ndarray, stage: int
    ) -> tuple[np.ndarray, dict[int, str]]:
        universe, behaviour = self._universe, self._universe.behaviour
        job, at = universe.jobs[run.job], run.started.timestamp()
        active = (behaviour.begins[tests] <= at) & (at < behaviour.ends[tests])
        platform = behaviour.platform[tests]
        active &= (platform < 0) | (platform == PLATFORMS.index(job.platform))
        fail = np.where(active, behaviour.fail[tests], 0.0)
        flaky = np.where(active, behaviour.flaky[tests], 0.0)
        codes = np.full(len(tests), PASS, np.uint8)
        codes[behaviour.skipped[tests]] = SKIPPED
        codes[outcome < fail + flaky] = FLAKY
        codes[outcome < fail] = FAIL
        messages = {}
        for cell in np.flatnonzero(codes >= FAIL).tolist():
            reason = (
                "timed out waiting for the condition" if int(tests[cell]) % 2 else "connection reset by peer"
            )
            where = f"[test/extended/{universe.sigs[tests[cell]]}.go:{int(tests[cell]) % 900 + 20}]"
            text = f"fail {where}: {reason}"
            messages[cell] = f"1/2 runs passed: {text}" if codes[cell] == FLAKY else text
        return codes, messages

    def _outage_mode(self, run: Run) -> str | None:
        for outage in self._universe.outages:
            if run.job in outage.jobs and outage.start <= run.started < outage.end:
                return outage.mode
        return "mostly_missing" if Rng(run.key, "infra").uniform() < INFRA_FAILURE else None

    def _break_down(
        self, job: Job, mode: str, codes: np.ndarray, messages: dict[int, str], strike: np.ndarray
    ) -> None:
        if mode == "all_failing":
            struck = (strike < 0.95) & (codes != NO_RESULT)
        else:
            struck = np.zeros(len(codes), bool)
            codes[strike > 0.03] = NO_RESULT
        core = np.isin(job.tests, job.core[:1])
        codes[struck | core] = FAIL
        for cell in np.flatnonzero(struck | core).tolist():
            messages[cell] = _OUTAGE_TEXT
