"""The truth about a synthetic world: everything that is planted in it, as JSON."""

from collections.abc import Callable
from datetime import datetime

import numpy as np

from ciworld.clock import iso
from ciworld.payload import Json
from ciworld.world.runs import Run
from ciworld.world.universe import (
    ABSENT,
    BASE_FAILURE,
    EPOCH,
    FLAKY_TESTS,
    HISTORY_START,
    HORIZON,
    INFRA_FAILURE,
    PLATFORMS,
    Job,
    Universe,
)


def describe_truth(universe: Universe, runs_of: Callable[[Job, datetime, datetime], list[Run]]) -> Json:
    """Return what is planted until the horizon; `runs_of` returns the runs of a job in [start, end)."""
    names, behaviour, jobs = universe.names, universe.behaviour, universe.jobs
    late, rerun = [], []
    for job in jobs:
        for run in runs_of(job, HISTORY_START, HORIZON):
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


def _seconds(timestamp: float) -> str:
    return iso(datetime.fromtimestamp(timestamp, tz=EPOCH.tzinfo))
