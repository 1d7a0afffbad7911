"""The outcome the model predicts, and which results count as one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cilake.contracts.vocabulary.ci import TEST_STATUSES, UNDECIDED

#: A number by ``test_status``; 0 is for a result that is not known yet.
STATUS_CODES = {status: code for code, status in enumerate(TEST_STATUSES, start=1)}

PASSED = STATUS_CODES["passed"]
#: Codes that are neither an outcome nor history: still running, or skipped.
UNDECIDED_CODES = tuple(STATUS_CODES[status] for status in UNDECIDED)
FAILED = STATUS_CODES["failed"]
FLAKY = STATUS_CODES["flaky"]
#: Code of a row whose result is not known yet: the decision that scoring is about.
PENDING = 0

#: The label column: true, false, or null while the next run has not reported.
LABEL = pa.field("has_failed", pa.bool_(), nullable=True)


def status_codes(test_status: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return the number of each status as int8; null (pending) becomes ``PENDING``.

    Raises ``ValueError`` on a status outside the contract, because a silent "not failed" would be a
    wrong label.
    """
    column = pa.chunked_array([test_status]) if isinstance(test_status, pa.Array) else test_status
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    parts = [np.zeros(0, dtype=np.int8)]
    for chunk in column.chunks:
        statuses = chunk.dictionary.to_pylist()
        unknown = sorted({str(word) for word in statuses if word is not None} - STATUS_CODES.keys())
        if unknown:
            raise ValueError(f"test_status holds values outside the contract: {', '.join(unknown[:5])}")
        lookup = np.array([STATUS_CODES.get(word, PENDING) for word in statuses] + [PENDING], dtype=np.int8)
        parts.append(lookup[pc.fill_null(chunk.indices, len(statuses)).to_numpy(zero_copy_only=False)])
    return np.concatenate(parts)


def has_failed(codes: np.ndarray) -> pa.Array:
    """Return the label of each result code: true for ``failed`` alone, null while pending."""
    return pa.array(codes == FAILED, type=LABEL.type, mask=codes == PENDING)
