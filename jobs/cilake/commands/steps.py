"""The steps of a day, by their names: what does each, and in which order they follow each other.

A step is ``<verb>_<object>``, as contracts (``made_by``), DAGs and their tasks name it; the command is
``cilake <verb> <object>``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from cilake.contracts.registry import tables
from cilake.contracts.steps import stages_of
from cilake.models.registry import model, model_names
from cilake.settings import Settings
from cilake.sources.registry import source_names
from cilake.windows import Window

STEPS = {
    "build_core_ci": "cilake.build.core:build_core",
    "maintain_lake": "cilake.commands.maintain:maintain_lake",
}
"""The function that does a step, imported only when used, since Spark is slow to import.

Any other ``build_…`` that a contract names is done by ``build.tables``.
"""
OF_MODELS = ("train", "score", "measure")
"""What is done for each model, by the module of ``commands`` of that name."""
NIGHTLY = ("land", "build", "score", "measure")


def find_work(verb: str, of: str) -> Callable[..., dict[str, Any]]:
    """Return the function that does the step ``<verb>_<of>``, given settings and a window."""
    if verb == "land":
        from cilake.commands.land import land
        from cilake.sources.registry import source

        return partial(land, source=source(of))
    if verb in OF_MODELS:
        done: Callable[..., dict[str, Any]] = getattr(
            importlib.import_module(f"cilake.commands.{verb}"), verb
        )
        return partial(done, model=model(of))
    if f"{verb}_{of}" not in STEPS:
        from cilake.build.tables import build_tables

        return partial(build_tables, step=f"{verb}_{of}")
    module, _, function = STEPS[f"{verb}_{of}"].partition(":")
    work: Callable[..., dict[str, Any]] = getattr(importlib.import_module(module), function)
    return work


def objects_of(verb: str) -> list[str]:
    """Return the objects of the verb."""
    if verb == "land":
        return source_names()
    if verb in OF_MODELS:
        return model_names()
    steps = dict.fromkeys([*STEPS, *(table.made_by for table in tables().values() if table.rebuild)])
    return [step.removeprefix(f"{verb}_") for step in steps if step.startswith(f"{verb}_")]


def steps_of_night() -> list[tuple[str, str]]:
    """Return verb and object of every step of a night, those first whose tables others are made from."""
    parted = (step.partition("_") for stage in stages_of(NIGHTLY) for step in stage)
    return [(verb, of) for verb, _, of in parted]


def run_step(settings: Settings, window: Window, verb: str, object: str) -> dict[str, Any]:
    """Run the step ``<verb>_<object>`` for the days of a window, with its record; return its counts."""
    from cilake.commands.recorded import run_recorded

    return run_recorded(find_work(verb, object), settings, window, verb=verb, of=object)
