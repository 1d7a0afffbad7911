"""The DAGs of a night as the contracts say: what lands, what follows in order, what the clock starts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from cilake.contracts.steps import stages_of

MAINTAIN = "maintain_lake"
_FOLLOWING = ("build", "score", "measure")
_NIGHTLY = ("land", *_FOLLOWING)


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
    steps = {step for stage in stages_of(_NIGHTLY) for step in stage}
    landing = tuple(sorted(step for step in steps if step.removeprefix("land_") in sources))
    models = sorted(step.removeprefix("score_") for step in steps if step.startswith("score_"))
    return Steps(landing, stages_of(_FOLLOWING), tuple(f"train_{model}" for model in models))
