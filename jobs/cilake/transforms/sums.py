"""Losses, and sums that are the same whatever the order of the rows."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from cilake.contracts.predictions.outcomes import CLIP

_EXACT = "decimal(28,12)"


def exact_sum(values: Column) -> Column:
    """Return the sum of doubles, each rounded to twelve decimals, as a double.

    Decimals add up to the same sum in any order, so rows that are made again compare equal; a sum of doubles
    differs in its last bits.
    """
    return F.sum(values.cast(_EXACT)).cast("double")


def log_loss(probability: str) -> Column:
    """Return the loss of a probability of failure, given ``has_failed``, in nats."""
    kept = F.greatest(F.least(F.col(probability), F.lit(1 - CLIP)), F.lit(CLIP))
    return -F.log(F.when(F.col("has_failed"), kept).otherwise(1 - kept))
