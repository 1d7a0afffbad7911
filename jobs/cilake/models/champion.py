"""The champion judged by what it predicted: no longer better than the baseline, it serves no more."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cilake.build.inputs import open_inputs
from cilake.contracts.model_spec import MODEL_SCORER, Model
from cilake.contracts.registry import table as contract
from cilake.lake.catalog import newest_date
from cilake.lake.literals import quoted
from cilake.lake.model_store import demote
from cilake.lake.snapshots import Pins
from cilake.log import logger
from cilake.models import gate
from cilake.models.serving import serving
from cilake.transforms.words import exact_sum, log_loss

_LOSSES = {"log_loss": log_loss}
"""The loss of a column of probabilities, in SQL, by the measure that the gate is about."""


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
    days = [day - timedelta(days=back) for back in range(model.gate.pooled_days)]
    wanted = {"outcomes": (contract(model.outcomes), days)}
    engine, inputs = open_inputs(spark, catalog, Pins({}), wanted)
    served = engine.to_arrow(engine.sql(_served(model, champion["model_version"]), **inputs))
    order = [(name, "ascending") for name in ("prediction_date", model.gate.block_by)]
    verdict = gate.judge_champion(_as_served(served.sort_by(order)), model.gate)
    if not verdict.passed:
        demote(catalog, champion, day, verdict.text)
        logger.warning(f"{champion['model_version']}: demoted, the baseline serves; {verdict.text}")
    return verdict


def _served(model: Model, version: str) -> str:
    """Return the query for the losses of a version, summed by block."""
    loss = _LOSSES[model.gate.metric]
    scorers = {"model": MODEL_SCORER, "baseline": model.gate.baseline}
    losses = (
        f"{exact_sum(loss(model.scorers[scorer], model.label))} AS {name}" for name, scorer in scorers.items()
    )
    block = f"prediction_date, {model.gate.block_by}"
    return f"""
    SELECT {block}, count_if({model.label}) AS failures, {", ".join(losses)} FROM outcomes
    WHERE model_version = {quoted(version)} AND NOT has_abstained GROUP BY {block}
    """


def _as_served(blocks: pa.Table) -> gate.Served:
    return gate.Served(
        model_loss=_numbers(blocks, "model"),
        baseline_loss=_numbers(blocks, "baseline"),
        failure_count=_numbers(blocks, "failures"),
        night_count=len(blocks["prediction_date"].unique()),
    )


def _numbers(blocks: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = blocks[name].to_numpy().astype(np.float64)
    return values
