"""The codes of cells, and our words for them.

Source: ``TestStatus`` in ``pb/test_status/test_status.proto`` of GoogleCloudPlatform/testgrid.
"""

from __future__ import annotations

import numpy as np

from cilake.sources.runs import CODES

STATUSES = {
    1: "passed",
    2: "passed_with_errors",
    3: "passed_with_skips",
    4: "running",
    5: "categorized_abort",
    6: "unknown",
    7: "cancelled",
    8: "blocked",
    9: "timed_out",
    10: "categorized_fail",
    11: "build_failed",
    12: "failed",
    13: "flaky",
    14: "tool_failed",
    15: "build_passed",
}
"""Our word for each code; 0 is a test that did not run, which makes no result."""
OURS = np.array([CODES.get(STATUSES.get(code, ""), 0) for code in range(128)], np.int8)
"""The number of our word by code, 0 where there is none."""
