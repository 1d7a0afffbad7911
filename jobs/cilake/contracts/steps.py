"""The order of steps, ``<verb>_<object>``: each comes after those that make what it reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter

from cilake.contracts.registry import inputs_of, made_by, tables


def stages_of(verbs: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Return the steps with these verbs in stages: those of one stage read nothing of each other.

    Raises:
        graphlib.CycleError: when steps read tables of each other.

    """
    makers = {address: table.made_by for address, table in tables().items()}
    steps = {step for step in makers.values() if step.partition("_")[0] in verbs and "_" in step}
    sorter = TopologicalSorter({step: _makers_of(step, makers) & steps - {step} for step in sorted(steps)})
    sorter.prepare()
    stages = []
    while sorter.is_active():
        stages.append(tuple(sorted(sorter.get_ready())))
        sorter.done(*stages[-1])
    return tuple(stages)


def _makers_of(step: str, makers: Mapping[str, str]) -> set[str]:
    """Return the steps that make what a step reads; of what models share it reads its model's part."""
    of = step.partition("_")[2]
    read = [(table, makers[one]) for table in made_by(step) for one in inputs_of(table)]
    return {maker for table, maker in read if "_" in table.made_by or maker.partition("_")[2] == of}
