"""Rows of two frames are compared by everything in them."""

import pytest
from tests.support.builders import make_frame, make_row

from cilake.contracts.core.test_results import TABLE
from cilake.lake.schema import differing_keys

pytestmark = pytest.mark.spark


def test_a_run_with_any_row_changed_missing_or_twice_differs(spark):
    def results(run, *tests, **changes):
        return [make_row(TABLE, run_key=run, test_key=test, **changes) for test in tests]

    same = results(1, 1, 2)
    rows = [
        *same,
        *results(2, 1),
        *results(3, 1, message=None),
        *results(4, 1, 2),
        *results(5, 1),
        *results(7, 1),
    ]
    others = [
        *reversed(same),
        *results(2, 1, test_status="failed"),
        *results(3, 1, message=""),
        *results(4, 1),
        *results(5, 1, 1),
        *results(6, 1),
    ]
    frames = (make_frame(spark, TABLE, part) for part in (rows, others))
    found = differing_keys(*frames, TABLE, "run_key").collect()
    assert sorted(row.run_key for row in found) == [2, 3, 4, 5, 6, 7]
