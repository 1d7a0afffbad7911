"""Pieces of SQL that several transforms use, as Spark and DuckDB read them alike."""

from __future__ import annotations

from cilake.contracts.predictions.accuracy import CLIP

RESULTS_OF_TESTS = """(
    SELECT /*+ BROADCAST(verdicts) */ results.* FROM test_results AS results
    ANTI JOIN (SELECT test_key FROM tests WHERE is_verdict) AS verdicts
        ON results.test_key = verdicts.test_key
)"""
"""The rows of the input ``test_results`` that are about tests, and not about the verdict of a run."""


def double(value: float) -> str:
    """Return a number as SQL has it where it shall be no decimal."""
    return f"{value!r}" if "e" in repr(value) else f"{value!r}e0"


def exact_sum(values: str) -> str:
    """Return the sum of doubles, each rounded to twelve decimals, as a double.

    Decimals add up to the same sum in any order, so rows that are made again compare equal; a sum of doubles
    differs in its last bits. Two engines may differ by one in the last decimal.
    """
    return f"cast(sum(cast({values} AS decimal(28, 12))) AS double)"


def log_loss(probability: str, label: str) -> str:
    """Return the loss of the probability that what the boolean column ``label`` says is true, in nats."""
    kept = f"greatest(least({probability}, {double(1 - CLIP)}), {double(CLIP)})"
    return f"-ln(CASE WHEN {label} THEN {kept} ELSE 1 - {kept} END)"
