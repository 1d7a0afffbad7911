"""The flip rate gives the reference values of upstream's definition."""

import numpy as np
import pytest

from cilake.models.test_failure.features.flips import flip_rate, flip_rates

ALTERNATING = [1, 12]
VECTORS = [
    ([], 0),
    ([1, 1, 1], 0),
    ([1, 12, 1, 1, 13, 1, 1, 1, 1, 12], 30),
    ([1, 12, 12, 1, 1, 1, 1, 12, 1, 1], 20),
    ([1, *[12] * 5, 1, 12, 1, 12], 40),
    ([1, 12, 12, 13, 12, 12, 1, 12, 1, 12], 50),
    ([1, 12, 12, 12, 1], 0),
    ([12, 12, 12, 12, 1], 0),
    ([12] * 5, 0),
    ([0, 0, 12, 1], 0),
    ([13, 13, 13], 100),
    (ALTERNATING * 5, 50),
    (ALTERNATING * 8 + [1] * 60, 10.526),
    (ALTERNATING * 8 + [1] * 12 + [12, 1, 12, 1], 31.25),
    ([1, 12, 0, 12, 0, 12, 1], 33.333),
    ([1] * 6 + [12] * 11 + [1] * 7, 0),
    ([1] * 5 + ALTERNATING * 8 + [1] * 3, 33.333),
    (ALTERNATING * 11, 50),
]


@pytest.mark.parametrize(("row", "expected"), VECTORS)
def test_reference_vectors(row, expected):
    assert flip_rate(row) == pytest.approx(expected, abs=0.005)


def _literal(row):
    """The definition read aloud, cell by cell."""
    i, flips, considered, last_passed = 0, 0, 0, True
    while i < len(row) and row[i] == 0:
        i += 1
    if i == len(row):
        return 0.0
    flips, considered, last_passed = int(row[i] == 13), 1, row[i] != 12
    i += 1
    while i < len(row):
        failures = 0
        for code in row[i:]:
            if code not in (0, 12):
                break
            failures += code == 12
        if failures >= 3:
            i += failures
            if i >= len(row):
                break
        if row[i] == 1:
            considered, last_passed = considered + 1, True
        elif row[i] == 13:
            flips, considered, last_passed = flips + 1, considered + 1, True
        elif row[i] == 12:
            flips, considered, last_passed = flips + last_passed, considered + 1, False
        i += 1
    return 100 * flips / considered


def test_matrix_equals_the_literal_definition():
    rows = np.random.default_rng(1).choice([0, 1, 3, 12, 13], size=(3000, 20), p=[0.2, 0.3, 0.1, 0.3, 0.1])
    assert flip_rates(rows.astype(np.int8)) == pytest.approx([_literal(row.tolist()) for row in rows])
