"""``cilake night``: the steps of a day one after the other in one process, without Airflow."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import date, timedelta
from typing import Any

from cilake.commands.recorded import run_recorded
from cilake.commands.steps import find_work, objects_of, steps_of_night
from cilake.errors import PermanentError
from cilake.lake.profiles import check_catalog
from cilake.log import logger
from cilake.settings import Settings
from cilake.sources.registry import source
from cilake.windows import Window

MONDAY = 0


class StepError(PermanentError):
    """A source or a step that there is not; the message lists those that there are."""


def run_night(
    settings: Settings, window: Window, *, sources: Collection[str] = (), skip: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Run the steps of each day of the window in order; return what each counted, by day and step.

    Only ``sources`` are landed, by default those that are configured. Steps in ``skip`` are left out, named
    as they are or by their verb. Models are trained on Mondays, at the end. A step that fails ends the night:
    repeat the command when the cause is fixed.

    Raises:
        SettingsError: when settings of the lake are missing.
        StepError: when a source or a step is named that there is not, or no source is configured.

    """
    check_catalog(settings)
    steps = [*steps_of_night(), *(("train", model) for model in objects_of("train"))]
    _check(sources, objects_of("land"), "source")
    _check(skip, {name for verb, of in steps for name in (verb, f"{verb}_{of}")}, "step")
    landed = set(sources) or {of for verb, of in steps if verb == "land" and source(of).is_configured}
    if not landed and "land" not in skip:
        wanted = ", ".join(one.scope_setting for one in map(source, objects_of("land")))
        raise StepError(f"no source is configured: set one of {wanted}, or leave out land with --skip land")
    counts: dict[str, dict[str, Any]] = {}
    for day in window.days:
        of_day = counts[str(day)] = {}
        for verb, of in steps:
            step = f"{verb}_{of}"
            if {verb, step} & set(skip) or not _is_due(verb, of, day, landed):
                continue
            began = time.monotonic()
            one_day = Window(day, day + timedelta(days=1))
            of_day[step] = run_recorded(find_work(verb, of), settings, one_day, verb=verb, of=of)
            logger.info(f"{day} {step}: done in {time.monotonic() - began:.0f} s")
    return counts


def _is_due(verb: str, of: str, day: date, landed: Collection[str]) -> bool:
    if verb == "land":
        return of in landed
    return verb != "train" or day.weekday() == MONDAY


def _check(names: Collection[str], known: Collection[str], kind: str) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise StepError(f"no {kind} {', '.join(unknown)}: there are {', '.join(sorted(known))}")
