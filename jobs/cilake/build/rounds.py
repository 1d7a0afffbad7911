"""Rounds of a large build: so many payloads at a time that what they hold fits in Spark's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.build.decoding import RawTable
from cilake.build.unbuilt import Unbuilt

ROUND_BYTES = 384 * 1024 * 1024
"""How many bytes of payloads one round decodes at most, where no natural id alone has more."""


@dataclass(frozen=True, slots=True)
class Part:
    """Payloads of one raw table: those with a natural id from ``first`` to ``last``, or all."""

    raw: RawTable
    unbuilt: Unbuilt
    first: str = ""
    last: str = ""

    def read(self, spark: SparkSession) -> DataFrame:
        """Return the payloads."""
        payloads = self.unbuilt.read(spark)
        if not self.last:
            return payloads
        # Files and their row groups hold neighbours, so a round reads little of what others read.
        return payloads.where(F.col("natural_id").between(self.first, self.last))


def plan_rounds(unbuilt: list[tuple[RawTable, Unbuilt]]) -> list[list[Part]]:
    """Return what each round builds: all payloads of a natural id are in one, as they follow each other."""
    sizes = [(raw, payloads, payloads.bytes_by_id()) for raw, payloads in unbuilt]
    if sum(sum(of_id.values()) for _, _, of_id in sizes) <= ROUND_BYTES:
        return [[Part(raw, payloads) for raw, payloads in unbuilt]]
    return [
        [Part(raw, payloads, first, last)]
        for raw, payloads, of_id in sizes
        for first, last in _cut(of_id)
    ]


def _cut(sizes: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the first and the last of neighbouring ids that have no more than ``ROUND_BYTES`` together."""
    spans: list[tuple[str, str]] = []
    held = 0
    for natural_id in sorted(sizes):
        held += sizes[natural_id]
        if not spans or held > ROUND_BYTES:
            spans.append((natural_id, natural_id))
            held = sizes[natural_id]
        spans[-1] = (spans[-1][0], natural_id)
    return spans
