"""What this model does for the steps that are the same for all models, see ``models.base.Forecaster``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from sklearn.linear_model import LogisticRegression

from cilake.contracts.columns import UNDECIDED
from cilake.lake.snapshots import Pins
from cilake.models import artifact
from cilake.models.as_of import read_history
from cilake.models.base import WEIGHT
from cilake.models.split import ShortHistory, Split, evaluation_start, split_by_time

from .spec import MODEL

MINIMUM_RUNS = 3
MINIMUM_FAILURES = 20
ACTIVE_DAYS = 14
SHRINKAGE_RUNS = 2.0
FEATURES = ("history_log_odds", "has_failed_last", "fail_count")


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learned: the share of failures, and a weight for each feature."""

    base_rate: float
    intercept: float
    weights: tuple[float, ...]


def read_decisions(spark: SparkSession, pins: Pins, day: date) -> Split:
    """Return all decisions known by the end of the day: each result but the first, with what was before it.

    Raises:
        ShortHistory: when there are none, or none before or after the division.

    """
    results, _ = read_history(spark, pins, day)
    before = (
        Window.partitionBy("job_key", "test_key")
        .orderBy("started_at", "run_key")
        .rowsBetween(Window.unboundedPreceding, -1)
    )
    failed = F.col("test_status") == "failed"
    decisions = (
        results.where(~F.col("test_status").isin(*UNDECIDED))
        .select(
            "run_key",
            "job_key",
            "test_key",
            "started_at",
            failed.alias(MODEL.label),
            F.count("*").over(before).alias("run_count"),
            F.count_if(failed).over(before).alias("fail_count"),
            F.last(failed).over(before).alias("has_failed_last"),
            F.lit(1.0).cast("float").alias(WEIGHT.name),
        )
        .where("run_count > 0")
        .toArrow()
    )
    if not decisions.num_rows:
        raise ShortHistory(f"no test has two results by the end of {day}")
    span = pc.min_max(decisions["started_at"]).as_py()
    at = evaluation_start(span["min"], span["max"], days=MODEL.gate.pooled_days)
    return split_by_time(decisions, at, day, order=("started_at", "job_key", "test_key", "run_key"))


def fit(split: Split) -> Fitted:
    """Return the regression fitted to the earlier decisions.

    Raises:
        ShortHistory: when too few of them failed, or too few did not.

    """
    label = split.earlier[MODEL.label].to_numpy()
    if min(label.sum(), (~label).sum()) < MINIMUM_FAILURES:
        raise ShortHistory(
            f"{int(label.sum()):,} of {len(label):,} results before {split.evaluated_from:%Y-%m-%d %H:%M} "
            f"failed; at least {MINIMUM_FAILURES} must have failed and as many must not"
        )
    base_rate = float(label.mean())
    estimator = LogisticRegression().fit(_matrix(split.earlier, base_rate), label)
    weights = tuple(float(weight) for weight in estimator.coef_[0])
    return Fitted(base_rate, float(estimator.intercept_[0]), weights)


def forecast(fitted: Fitted, decisions: pa.Table) -> Mapping[str, np.ndarray]:
    """Return what the model and its baseline say about decisions, abstentions included."""
    history = _history(decisions, fitted.base_rate)
    odds = fitted.intercept + _matrix(decisions, fitted.base_rate) @ np.array(fitted.weights)
    own = 1 / (1 + np.exp(-odds))
    knows = decisions["run_count"].to_numpy() >= MINIMUM_RUNS
    return {"model": np.where(knows, own, history), "history": history}


def to_bytes(fitted: Fitted) -> tuple[bytes, str]:
    """Return what was learned as bytes and their SHA-256 in hexadecimal."""
    return artifact.dump(asdict(fitted) | {"weights": list(fitted.weights)})


def from_bytes(data: bytes, sha256: str) -> Fitted:
    """Return what ``to_bytes`` stored.

    Raises:
        ValueError: when the digest differs or the bytes are no such model.

    """
    content = artifact.load(data, sha256)
    if set(content) != {"base_rate", "intercept", "weights"} or len(content["weights"]) != len(FEATURES):
        raise ValueError("the bytes are no model of this kind: unknown layout")
    return Fitted(content["base_rate"], content["intercept"], tuple(content["weights"]))


def predict_day(
    spark: SparkSession, catalog: Catalog, pins: Pins, day: date, fitted: Fitted | None
) -> DataFrame | None:
    """Return the predictions for every test with a result lately; ``None`` when nothing has run yet."""
    results, _ = read_history(spark, pins, day)
    final = results.where(~F.col("test_status").isin(*UNDECIDED))
    failed = F.col("test_status") == "failed"
    count, failures = final.agg(F.count("*"), F.count_if(failed)).collect()[0]
    if not count:
        return None
    base_rate = fitted.base_rate if fitted else failures / count
    state = final.groupBy("job_key", "test_key").agg(
        F.count("*").alias("run_count"),
        F.count_if(failed).alias("fail_count"),
        F.max_by(failed, F.struct("started_at", "run_key")).alias("has_failed_last"),
        F.max("started_at").alias("newest"),
    )
    active = state.where(F.datediff(F.lit(day), "newest") < ACTIVE_DAYS)
    history = (F.col("fail_count") + SHRINKAGE_RUNS * base_rate) / (F.col("run_count") + SHRINKAGE_RUNS)
    knows = F.col("run_count") >= MINIMUM_RUNS
    own = _probability(fitted, history) if fitted else history
    return active.select(
        "job_key",
        "test_key",
        F.lit(day).alias("prediction_date"),
        F.when(knows, own).otherwise(history).alias("failure_probability"),
        history.alias("history_probability"),
        F.when(~knows, F.lit("too_few_runs")).alias("abstain_reason"),
    )


def _probability(fitted: Fitted, history: Column) -> Column:
    """Return what ``forecast`` says, inside Spark."""
    values = (F.log(history / (1 - history)), F.col("has_failed_last").cast("double"), F.log1p("fail_count"))
    odds = F.lit(fitted.intercept)
    for weight, value in zip(fitted.weights, values, strict=True):
        odds = odds + weight * value
    return 1 / (1 + F.exp(-odds))


def _matrix(decisions: pa.Table, base_rate: float) -> np.ndarray:
    history = _history(decisions, base_rate)
    last = decisions["has_failed_last"].to_numpy().astype(np.float64)
    fails = np.log1p(decisions["fail_count"].to_numpy())
    return np.column_stack([np.log(history / (1 - history)), last, fails])


def _history(decisions: pa.Table, base_rate: float) -> np.ndarray:
    """Return the share of earlier failures, shrunken to that of all."""
    fails, runs = decisions["fail_count"].to_numpy(), decisions["run_count"].to_numpy()
    history: np.ndarray = (fails + SHRINKAGE_RUNS * base_rate) / (runs + SHRINKAGE_RUNS)
    return history
