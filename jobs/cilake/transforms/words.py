"""Pieces of SQL that several transforms use, as Spark and DuckDB read them alike."""

from __future__ import annotations

from collections.abc import Iterable

from cilake.contracts.predictions.accuracy import CLIP
from cilake.contracts.vocabulary.ci import VERDICT_NAME
from cilake.lake.literals import quoted

RESULTS_OF_TESTS = """(
    SELECT /*+ BROADCAST(verdicts) */ results.* FROM test_results AS results
    ANTI JOIN (SELECT test_key FROM tests WHERE is_verdict) AS verdicts
        ON results.test_key = verdicts.test_key
)"""
"""The rows of the input ``test_results`` that are about tests, and not about the verdict of a run."""


def equal(one: str, other: str, names: Iterable[str]) -> str:
    """Return the condition that rows of two inputs have the same values in columns."""
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in names)


def of(rows: str, names: Iterable[str]) -> str:
    """Return columns of an input as a query selects them."""
    return ", ".join(f"{rows}.{name}" for name in names)


def is_verdict(name: str) -> str:
    """Return the condition that the name of a row is that of a verdict, and of no test."""
    # Where a text ends before its last line break depends on the engine, so its end is looked at by itself.
    ends = f"({name} LIKE '%Overall' OR {name} LIKE '%Pod')"
    return f"({ends} AND regexp_like({name}, {quoted(VERDICT_NAME)}))"


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
