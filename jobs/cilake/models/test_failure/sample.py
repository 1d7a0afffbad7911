"""A sample of decisions that represents all of them: the failures, and of the many alike others some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cilake.models.base import WEIGHT
from cilake.models.test_failure.features.compute import FEATURES_SCHEMA

SAMPLE_SCHEMA = FEATURES_SCHEMA.append(WEIGHT)

#: Shares of the decisions without a failure that are taken, by what happened before: failures in the entity's
#: last results, failures in other jobs within a day, nothing.
EVENTFUL, ELSEWHERE, UNEVENTFUL = range(3)
TRAINING_SHARES = (0.25, 0.1, 0.02)
#: Differences between scorers are small, so more is taken to measure them.
EVALUATION_SHARES = (0.35, 0.15, 0.03)
#: The shares hold for this many decisions; of fewer, proportionally more are taken.
SHARES_FOR = 10_000_000
#: About so many rows a sample has at most, so that that of any lake fits into memory: where the shares would
#: take more, proportionally fewer are taken of what did not fail, and of failures where they alone are more.
MAX_ROWS = 1_000_000
#: What did not fail has this part of the rows at least, however much failed.
MIN_HEALTHY = 0.2


def sample(features: pa.Table, shares: tuple[float, float, float], *, total: int) -> pa.Table:
    """Return the decided decisions that are taken, with their weights.

    ``total`` is about how many decisions there are in all, of which ``features`` may be a part.  The choice
    depends on keys alone, so it repeats.  The weights of each kind add up to its decisions, so probabilities
    and counts stay unbiased; of every kind that occurs at least one is taken.
    """
    known = features.column("has_failed")
    decided = features if known.null_count == 0 else features.filter(known.is_valid())
    failed = decided.column("has_failed").to_numpy()
    kind = np.full(len(decided), UNEVENTFUL)
    kind[decided.column("elsewhere_fail_count_24h").to_numpy() > 0] = ELSEWHERE
    kind[decided.column("own_fail_count_20").to_numpy() > 0] = EVENTFUL
    draw = _draw(decided)
    taken, weight = np.zeros(len(decided), dtype=bool), np.ones(len(decided))
    kinds = [*(np.flatnonzero((kind == one) & ~failed) for one in range(len(shares))), np.flatnonzero(failed)]
    for of_kind, share in zip(kinds, _fit(shares, list(map(len, kinds)), total), strict=True):
        if not len(of_kind):
            continue
        chosen = of_kind[draw[of_kind] < max(share, draw[of_kind].min() + 1e-12)]
        taken[chosen] = True
        weight[chosen] = len(of_kind) / len(chosen)
    rows = np.flatnonzero(taken)
    picked = decided.take(pa.array(rows))
    return picked.append_column(WEIGHT, pa.array(weight[rows], WEIGHT.type))


def _fit(shares: Sequence[float], sizes: Sequence[int], total: int) -> list[float]:
    """Return the shares to take of each kind, the last of which failed; smaller where they take too many.

    ``sizes`` are those of the kinds in a part of ``total`` decisions.
    """
    scale = max(1.0, SHARES_FOR / max(total, 1))
    wanted = [min(1.0, share * scale) * size for share, size in zip(shares, sizes[:-1], strict=True)]
    rows, failed = MAX_ROWS * sum(sizes) / max(total, 1), sizes[-1]
    taken_failed = min(failed, (1 - MIN_HEALTHY) * rows)
    room = rows - taken_failed
    # What failed lately says most, and its weights would be felt most: it has half of the room if it wants.
    eventful = min(wanted[EVENTFUL], max(room / 2, room - sum(wanted[1:])))
    fits = min(1.0, (room - eventful) / max(sum(wanted[1:]), 1.0))
    taken = [eventful, *(count * fits for count in wanted[1:]), taken_failed]
    return [count / max(size, 1) for count, size in zip(taken, sizes, strict=True)]


def _draw(decided: pa.Table) -> np.ndarray:
    """Return a number between 0 and 1 for each decision that depends on its keys alone."""
    mixed = np.zeros(len(decided), dtype=np.uint64)
    for name in ("run_key", "job_key", "test_key"):
        mixed = (mixed ^ decided.column(name).to_numpy().astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    draw: np.ndarray = (mixed >> np.uint64(11)) / float(1 << 53)
    return draw
