"""Whether a challenger may serve, and whether the champion may go on: with bounds, not by one good week."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from cilake.contracts.kpi.calibration_bins import BIN_EDGES
from cilake.contracts.model_spec import CHAMPION_SCORER, MODEL_SCORER, Gate
from cilake.models.comparison import Gain, block_sums, relative_gain
from cilake.transforms.measures import bin_of, brier_losses, clipped, evaluate, log_losses

LOSSES = {"log_loss": log_losses, "brier": brier_losses}
"""The measures that are means of a loss of each decision, so that a gate can be about them."""
MORE_IS_BETTER = frozenset({"average_precision"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """Decided forecasts: what each scorer forecast and what happened.

    ``block`` numbers the block of each decision from 0; ``weight`` says how many decisions it represents.
    """

    forecasts: Mapping[str, np.ndarray]
    has_failed: np.ndarray
    block: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version may serve, why not, and how much it gains over each rival."""

    passed: bool
    reasons: list[str]
    gains: dict[str, Gain] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What the verdict is based on, in one line."""
        gains = [f"gain over {rival} {gain}" for rival, gain in self.gains.items()]
        return "; ".join([*self.reasons, *gains]) or "nothing was shown"


@dataclass(frozen=True, slots=True)
class Served:
    """What the champion's predictions came to: its loss, its baseline's and the failures per block."""

    model_loss: np.ndarray
    baseline_loss: np.ndarray
    failure_count: np.ndarray
    night_count: int


def blocks_of(started_at: pa.ChunkedArray, key: pa.ChunkedArray) -> np.ndarray:
    """Return the number of the block, a decision day of a key, that each decision is in."""
    day = started_at.to_numpy().astype("datetime64[D]").astype(np.int64)
    number = pa.chunked_array([key.combine_chunks().dictionary_encode().indices]).to_numpy()
    _, block = np.unique(day * (int(number.max(initial=0)) + 1) + number, return_inverse=True)
    return block


def judge_challenger(evidence: Evidence, rule: Gate) -> Verdict:
    """Return whether the scorer ``model`` may serve in place of the baseline and of the champion, if any."""
    missing = [name for name in (MODEL_SCORER, rule.baseline) if name not in evidence.forecasts]
    if missing:
        return Verdict(False, [f"no forecasts of {name}" for name in missing])
    outcome = evidence.has_failed
    if reasons := _too_little(block_sums(evidence.block, evidence.weight * outcome), rule):
        return Verdict(False, reasons)
    probability = {name: clipped(values) for name, values in evidence.forecasts.items()}
    table = evaluate(evidence.forecasts, outcome, evidence.weight)
    measured = {row["scorer"]: row for row in table.to_pylist()}
    loss = {
        name: block_sums(evidence.block, evidence.weight * LOSSES[rule.metric](values, outcome))
        for name, values in probability.items()
    }
    rivals = [rule.baseline, *({CHAMPION_SCORER} & set(probability))]
    gains = {
        rival: relative_gain(loss[MODEL_SCORER], loss[rival], tail=rule.tail, resamples=rule.resamples)
        for rival in rivals
    }
    for rival, gain in gains.items():
        if not gain.point >= rule.minimum_improvement:
            reasons.append(
                f"{rule.metric} is {gain.point:.1%} below that of {rival},"
                f" not {rule.minimum_improvement:.0%} or more"
            )
        if not gain.lower > 0:
            reasons.append(f"it may be chance that {rule.metric} is below that of {rival}")
    for metric in rule.must_not_worsen:
        mine, theirs = measured[MODEL_SCORER][metric], measured[rule.baseline][metric]
        if not (mine >= theirs if metric in MORE_IS_BETTER else mine <= theirs):
            reasons.append(f"{metric} {mine:.5f} is worse than {theirs:.5f} of {rule.baseline}")
    for name in sorted(set(probability) - {MODEL_SCORER, *rivals}):
        if not gain_is_positive(loss[MODEL_SCORER], loss[name]):
            reasons.append(f"{rule.metric} is not below that of {name}")
    reasons += _miscalibrated(probability, rivals[-1], evidence, rule)
    return Verdict(not reasons, reasons, gains)


def judge_champion(served: Served, rule: Gate) -> Verdict:
    """Return whether the champion may go on, by its predictions next to the baseline's on the same decisions.

    It may while there are too few failures to decide. For certain loss it is demoted at once, because it is
    no longer surely better only after ``probation_nights``.
    """
    if _too_little(served.failure_count, rule):
        return Verdict(True, [])
    gain = relative_gain(served.model_loss, served.baseline_loss, tail=rule.tail, resamples=rule.resamples)
    gains = {rule.baseline: gain}
    if not gain.upper >= 0:
        return Verdict(False, [f"worse than {rule.baseline} on what it predicted"], gains)
    if served.night_count >= rule.probation_nights and not gain.lower > 0:
        return Verdict(False, [f"no longer surely better than {rule.baseline} on what it predicted"], gains)
    return Verdict(True, [], gains)


def gain_is_positive(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Return whether the first loss is the smaller one."""
    return bool(ours.sum() < theirs.sum())


def _too_little(failures: np.ndarray, rule: Gate) -> list[str]:
    """Return why the failures per block are too few to judge by."""
    total, blocks = round(float(failures.sum())), int(np.count_nonzero(failures))
    reasons = []
    if total < rule.minimum_failures:
        reasons.append(
            f"{total:,} decisions failed, fewer than the {rule.minimum_failures:,} that show something"
        )
    if blocks < rule.minimum_failing_blocks:
        reasons.append(
            f"failures on {blocks:,} days of a {rule.block_by.removesuffix('_key')}, fewer than the"
            f" {rule.minimum_failing_blocks:,} that show something"
        )
    return reasons


def _miscalibrated(
    forecasts: Mapping[str, np.ndarray], instead: str, evidence: Evidence, rule: Gate
) -> list[str]:
    """Return the bins, and the whole, of which forecast and real failures differ by more than the factor.

    Beyond chance: the deviation is that of whole blocks, which fail together, and at least the binomial one.
    And by more than those of the same decisions by who serves ``instead``, the champion or the baseline.
    """
    probability = forecasts[MODEL_SCORER]
    index = bin_of(probability)
    groups = {"all": np.ones(len(index), dtype=bool)}
    groups |= {f"{BIN_EDGES[i]:g} to {BIN_EDGES[i + 1]:g}": index == i for i in np.unique(index).tolist()}
    reasons = []
    for name, chosen in groups.items():
        p, weight = probability[chosen], evidence.weight[chosen]
        expected, failed = weight * p, weight * evidence.has_failed[chosen]
        gap = block_sums(evidence.block[chosen], failed - expected)
        chance = max(float(np.sum((gap - gap.mean()) ** 2)), float(np.sum(expected * (1 - p)))) ** 0.5
        margin = rule.calibration_deviations * chance
        too_many = expected.sum() - margin > rule.calibration_factor * failed.sum()
        too_few = expected.sum() + margin < failed.sum() / rule.calibration_factor
        otherwise = float(np.sum(weight * forecasts[instead][chosen]))
        is_worse = _distance(expected.sum(), failed.sum()) > _distance(otherwise, failed.sum())
        if (too_many or too_few) and is_worse:
            reasons.append(
                f"calibration: {expected.sum():,.1f} failures forecast where {failed.sum():,.0f} happened"
                f" (probabilities {name}), {otherwise:,.1f} by {instead}"
            )
    return reasons


def _distance(expected: float, failed: float) -> float:
    """Return how far forecast and real failures are apart, as a log ratio with half a failure more."""
    return float(abs(np.log((expected + 0.5) / (failed + 0.5))))
