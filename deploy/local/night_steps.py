"""The DAGs of a night as the contracts say: what lands, what follows in order, what the clock starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from cilake.contracts.registry import inputs_of, made_by, tables

MAINTAIN = "maintain_lake"
_FOLLOWING = ("build", "score", "measure")


@dataclass(frozen=True)
class Steps:
    """The DAGs of a night: those that land, stages of those that follow, and those of models' trainings."""

    landing: tuple[str, ...]
    stages: tuple[tuple[str, ...], ...]
    training: tuple[str, ...]

    @property
    def following(self) -> tuple[str, ...]:
        """The DAGs that follow a landing."""
        return tuple(step for stage in self.stages for step in stage)

    @property
    def by_clock(self) -> tuple[str, ...]:
        """The DAGs that the clock starts."""
        return (*self.landing, *self.training, MAINTAIN)

    @property
    def every(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.by_clock, *self.following)


def find_steps(sources: Collection[str]) -> Steps:
    """Return the steps of a night that lands these sources."""
    steps = {table.made_by for table in tables().values() if "_" in table.made_by}
    following = {step for step in steps if step.startswith(_FOLLOWING)}
    makers = {address: table.made_by for address, table in tables().items()}
    before = {step: _makers(step, makers) & following - {step} for step in sorted(following)}
    sorter = TopologicalSorter(before)
    sorter.prepare()
    stages = []
    while sorter.is_active():
        stages.append(tuple(sorted(sorter.get_ready())))
        sorter.done(*stages[-1])
    landing = tuple(sorted(step for step in steps if step.removeprefix("land_") in sources))
    models = sorted(step.removeprefix("score_") for step in steps if step.startswith("score_"))
    return Steps(landing, tuple(stages), tuple(f"train_{model}" for model in models))


def _makers(step: str, makers: Mapping[str, str]) -> set[str]:
    """Return the steps that make what a step reads; of what models share it reads its model's part."""
    of = step.partition("_")[2]
    read = [(table, makers[one]) for table in made_by(step) for one in inputs_of(table)]
    return {maker for table, maker in read if "_" in table.made_by or maker.partition("_")[2] == of}
