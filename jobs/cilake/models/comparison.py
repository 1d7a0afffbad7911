"""How much less one forecaster loses than another, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_RESAMPLES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Gain:
    """The share of a rival's loss that is saved, with the bounds that it passes with a chance of ``tail``."""

    point: float
    lower: float
    upper: float

    def __str__(self) -> str:
        """Return the gain and its bounds in percent."""
        return f"{self.point:.1%} ({self.lower:.1%} to {self.upper:.1%})"


def relative_gain(
    ours: np.ndarray, theirs: np.ndarray, *, tail: float, resamples: int, seed: int = 0
) -> Gain:
    """Return the gain over a rival from the sums of both losses per block of decisions.

    The bounds come from a paired bootstrap: whole blocks are drawn with replacement, for both forecasters the
    same, because the decisions of a block share one fate (a broken run is one event with a thousand rows).
    Blocks are drawn by ``seed``, so the same losses have the same bounds.
    """
    size = len(ours)
    if size != len(theirs) or not size:
        raise ValueError(f"losses of {size} and {len(theirs)} blocks cannot be compared")
    rng = np.random.default_rng(seed)
    gains = np.empty(resamples)
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        drawn = rng.integers(size, size=(min(_RESAMPLES_AT_ONCE, resamples - start), size))
        gains[start : start + len(drawn)] = 1 - ours[drawn].sum(axis=1) / theirs[drawn].sum(axis=1)
    lower, upper = np.quantile(gains, [tail, 1 - tail])
    return Gain(float(1 - ours.sum() / theirs.sum()), float(lower), float(upper))


def block_sums(block: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the sum of the values in each block, blocks numbered from 0."""
    sums: np.ndarray = np.bincount(block, weights=values)
    return sums
