"""The champion judged by what it predicted: no longer better than the baseline, it serves no more."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cilake.contracts.predictions.outcomes import TABLE as OUTCOMES
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.lake.catalog import newest_date
from cilake.lake.model_store import demote
from cilake.log import say
from cilake.models.serving import serving
from cilake.models.test_failure import evaluate, gate
from cilake.models.test_failure.spec import MODEL
from cilake.transforms.sums import exact_sum, log_loss

_LOSSES = {"log_loss": log_loss}
"""The loss of a column of probabilities by the measure that the gate is about."""


def judge(spark: SparkSession, catalog: Catalog) -> gate.Verdict | None:
    """Demote the champion if its predictions of the latest days were no better than its baseline.

    Return the verdict; ``None`` when the baseline serves, which nobody has to beat.
    """
    day = newest_date(catalog, PREDICTIONS)
    champion = serving(catalog, day) if day else None
    if day is None or champion is None:
        return None
    since = day - timedelta(days=MODEL.gate.pooled_days)
    known = spark.table(OUTCOMES.identifier).where(
        (F.col("model_name") == MODEL.name)
        & (F.col("model_version") == champion["model_version"])
        & (F.col("prediction_date") > F.lit(since))
        & ~F.col("has_abstained")
    )
    verdict = gate.judge_champion(served(known))
    if not verdict.passed:
        demote(catalog, champion, day, verdict.text)
        say(f"{champion['model_version']} demoted, the baseline serves: {verdict.text}")
    return verdict


def served(known: DataFrame) -> gate.Served:
    """Return what the predictions with the given outcomes came to, summed by day and job in Spark."""
    loss = _LOSSES[MODEL.gate.metric]
    columns = {"model": evaluate.MODEL_SCORER, "baseline": MODEL.gate.baseline}
    blocks: pa.Table = (
        known.groupBy("prediction_date", "job_key")
        .agg(
            F.count_if("has_failed").alias("failures"),
            *[exact_sum(loss(evaluate.SCORERS[scorer])).alias(name) for name, scorer in columns.items()],
        )
        .orderBy("prediction_date", "job_key")
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
