"""The flip rate of a row of results, as TestGrid defines it.

A test that alternates between passing and failing flips often; one that breaks and stays broken flips
once.  Stretches of three or more failures are skipped, so that an outage is not taken for flakiness.
"""

from __future__ import annotations

import numpy as np

from cilake.models.test_failure.labels import FAILED, FLAKY, PASSED

#: Failing stretches of at least this many failures are an outage, not flakiness.
IGNORED_STRETCH = 3


def flip_rate(codes: list[int] | np.ndarray) -> float:
    """Return the flip rate (0-100) of one row of TestGrid codes, 0 meaning not run."""
    row = np.asarray(codes, dtype=np.int8).reshape(1, -1)
    return float(flip_rates(row)[0])


def flip_rates(rows: np.ndarray) -> np.ndarray:
    """Return the flip rate (0-100) of each row of a matrix of TestGrid codes.

    All rows advance together, one column at a time.  The jump over a failing stretch counts failures,
    not cells, so a stretch with gaps is left too early; upstream does the same and so must we.
    """
    count, width = rows.shape
    failures = np.zeros((count, width + 1), dtype=np.int16)
    for i in range(width - 1, -1, -1):
        code = rows[:, i]
        in_stretch = (code == FAILED) | (code == 0)
        failures[:, i] = np.where(in_stretch, failures[:, i + 1] + (code == FAILED), 0)

    flips = np.zeros(count, dtype=np.int32)
    considered = np.zeros(count, dtype=np.int32)
    has_begun = np.zeros(count, dtype=bool)
    last_passed = np.zeros(count, dtype=bool)
    resume = np.full(count, -1, dtype=np.int32)
    for i in range(width):
        code = rows[:, i]
        first = ~has_begun & (code != 0)
        active = has_begun & (resume <= i)
        # The cell a jump lands on is judged as it is, without looking for another stretch.
        jumps = active & (resume != i) & (failures[:, i] >= IGNORED_STRETCH)
        resume[jumps] = i + failures[jumps, i]
        judged = active & ~jumps

        is_pass, is_fail, is_flaky = code == PASSED, code == FAILED, code == FLAKY
        counted = is_pass | is_fail | is_flaky
        considered += first | (judged & counted)
        flips += (first & is_flaky) | (judged & (is_flaky | (is_fail & last_passed)))
        last_passed = np.where(first, ~is_fail, np.where(judged & counted, ~is_fail, last_passed))
        has_begun |= first
    return 100.0 * flips / np.maximum(considered, 1)
