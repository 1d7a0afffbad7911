"""Losses, and sums that are the same whatever the order of the rows."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from cilake.contracts.predictions.accuracy import CLIP

_EXACT = "decimal(28,12)"


def exact_sum(values: Column) -> Column:
    """Return the sum of doubles, each rounded to twelve decimals, as a double.

    Decimals add up to the same sum in any order, so rows that are made again compare equal; a sum of doubles
    differs in its last bits.
    """
    return F.sum(values.cast(_EXACT)).cast("double")


def log_loss(probability: str, label: str) -> Column:
    """Return the loss of the probability that what the boolean column ``label`` says is true, in nats."""
    kept = F.greatest(F.least(F.col(probability), F.lit(1 - CLIP)), F.lit(CLIP))
    return -F.log(F.when(F.col(label), kept).otherwise(1 - kept))
