"""Rounds of a large build: so many payloads at a time that what they hold fits in Spark's memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cilake.build.decoding import RawTable
from cilake.log import logger

ROUND_BYTES = 384 * 1024 * 1024
"""How many bytes of payloads one round decodes at most, where no natural id alone has more."""
Payloads = list[tuple[RawTable, DataFrame]]
Sizes = Sequence[Mapping[str, tuple[int, int]]]
"""How many payloads of each natural id there are, and their bytes, for each raw table."""


def in_rounds(payloads: Payloads, sizes: Sizes) -> Iterator[tuple[Payloads, int, int]]:
    """Yield the payloads of each round, its number and the last round's.

    All payloads of a natural id are in one round, as they follow each other.
    """
    if sum(size for of_id in sizes for _, size in of_id.values()) <= ROUND_BYTES:
        yield payloads, 1, 1
        return
    rounds = [
        (raw, rows, span)
        for (raw, rows), of_id in zip(payloads, sizes, strict=True)
        for span in _neighbours(of_id)
    ]
    for number, (raw, rows, (first, last)) in enumerate(rounds, 1):
        logger.info(f"round {number} of {len(rounds)}: {raw.table.address}, {first} to {last}")
        # Files and their row groups hold neighbours, so a round reads little of what others read.
        yield [(raw, rows.where(F.col("natural_id").between(first, last)))], number, len(rounds)


def _neighbours(sizes: Mapping[str, tuple[int, int]]) -> list[tuple[str, str]]:
    """Return the first and the last of neighbouring ids that have no more than ``ROUND_BYTES`` together."""
    spans: list[tuple[str, str]] = []
    held = 0
    for natural_id in sorted(sizes):
        _, size = sizes[natural_id]
        held += size
        if not spans or held > ROUND_BYTES:
            spans.append((natural_id, natural_id))
            held = size
        spans[-1] = (spans[-1][0], natural_id)
    return spans
