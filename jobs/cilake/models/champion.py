"""The champion judged by what it predicted: no longer better than the baseline, it serves no more."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.contracts.model_spec import MODEL_SCORER, Model
from cilake.contracts.registry import table as contract
from cilake.lake.catalog import newest_date
from cilake.lake.model_store import demote
from cilake.log import logger
from cilake.models import gate
from cilake.models.serving import serving
from cilake.transforms.sums import exact_sum, log_loss

_LOSSES = {"log_loss": log_loss}
"""The loss of a column of probabilities by the measure that the gate is about."""


def find_judged(catalog: Catalog, model: Model) -> tuple[dict[str, Any], date] | None:
    """Return the champion with the day of its newest predictions; ``None`` when the baseline serves."""
    day = newest_date(catalog, contract(model.ledger))
    champion = serving(catalog, model, day) if day else None
    return (champion, day) if champion and day else None


def judge(spark: SparkSession, catalog: Catalog, model: Model) -> gate.Verdict | None:
    """Demote the champion if its predictions of the latest days were no better than its baseline.

    Return the verdict; ``None`` when the baseline serves, which nobody has to beat.
    """
    judged = find_judged(catalog, model)
    if judged is None:
        return None
    champion, day = judged
    since = day - timedelta(days=model.gate.pooled_days)
    known = spark.table(contract(model.outcomes).identifier).where(
        (F.col("model_version") == champion["model_version"])
        & (F.col("prediction_date") > F.lit(since))
        & ~F.col("has_abstained")
    )
    verdict = gate.judge_champion(served(known, model), model.gate)
    if not verdict.passed:
        demote(catalog, champion, day, verdict.text)
        logger.warning(f"{champion['model_version']} demoted, the baseline serves: {verdict.text}")
    return verdict


def served(known: DataFrame, model: Model) -> gate.Served:
    """Return what the predictions with the given outcomes came to, summed by block in Spark."""
    loss = _LOSSES[model.gate.metric]
    columns = {"model": MODEL_SCORER, "baseline": model.gate.baseline}
    block = ("prediction_date", model.gate.block_by)
    blocks: pa.Table = (
        known.groupBy(*block)
        .agg(
            F.count_if(model.label).alias("failures"),
            *[
                exact_sum(loss(model.scorers[scorer], model.label)).alias(name)
                for name, scorer in columns.items()
            ],
        )
        .orderBy(*block)
        .toArrow()
    )
    return gate.Served(
        model_loss=_numbers(blocks, "model"),
        baseline_loss=_numbers(blocks, "baseline"),
        failure_count=_numbers(blocks, "failures"),
        night_count=len(blocks["prediction_date"].unique()),
    )


def _numbers(blocks: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = blocks[name].to_numpy().astype(np.float64)
    return values
