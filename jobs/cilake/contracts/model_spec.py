"""The vocabulary in which models are declared: what one forecasts, from what, and when it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MODEL_SCORER = "model"
"""The scorer that is the model; every other one is a baseline."""
CHAMPION_SCORER = "champion"
"""The model that serves while a challenger is judged."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a challenger must reach before it serves, and the champion to go on serving.

    Both are judged on the decisions of the latest ``pooled_days``: one week is noise. The gain in ``metric``
    over the baseline, and over the champion if one serves, is to be at least ``minimum_improvement``, and
    above 0 with a chance of all but ``tail`` by ``resamples`` of a bootstrap by decision day and the column
    ``block_by``, as decisions that share these share one fate.
    """

    metric: str
    baseline: str
    block_by: str
    pooled_days: int
    minimum_improvement: float
    tail: float
    resamples: int
    #: A count of failures is known to a tenth of itself only from about a hundred on.
    minimum_failures: int
    #: Blocks with a failure: of fewer than this a bootstrap says nothing about its tail.
    minimum_failing_blocks: int
    must_not_worsen: tuple[str, ...]
    #: Forecast and real failures of a bin may differ by this factor, beyond ``calibration_deviations``.
    calibration_factor: float
    calibration_deviations: float
    #: A champion is only demoted for doubt after this many measured nights; for certain loss at once.
    probation_nights: int
    #: A champion that no training has replaced for this long knows a product that is gone.
    champion_days: int


@dataclass(frozen=True, slots=True)
class Model:
    """The declaration of a model that says how likely something is; its card says the rest.

    ``inputs`` are the addresses of the tables that it reads, in the order in which they are pinned. ``label``
    is the boolean column of its outcomes that says what happened, ``scorers`` are the columns of
    probabilities of its ledger by who made them, the model itself as ``model``.
    """

    name: str
    question: str
    inputs: tuple[str, ...]
    label: str
    scorers: Mapping[str, str]
    gate: Gate

    @property
    def ledger(self) -> str:
        """The address of the table of its predictions."""
        return f"predictions.{self.name}"

    @property
    def outcomes(self) -> str:
        """The address of the table of what happened after its predictions."""
        return f"predictions.{self.name}_outcomes"
