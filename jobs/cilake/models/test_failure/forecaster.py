"""What this model does for the steps that are the same for all models, see ``models.base.Forecaster``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from cilake.contracts.columns import UNDECIDED
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.lake.snapshots import Pins
from cilake.log import logger
from cilake.models.as_of import bucket_of, count_results, read_history
from cilake.models.landed import read_jobs_not_obtained
from cilake.models.split import ShortHistory, Split, evaluation_start, split_by_time
from cilake.windows import day_start

from . import sample, score, train
from .features import RESULTS_SCHEMA, TIMESTAMP, compute_features, pending_decisions
from .spec import ACTIVE_DAYS, FEATURES, MODEL
from .train import from_bytes, to_bytes

__all__ = ["fit", "forecast", "from_bytes", "predict_day", "read_decisions", "to_bytes"]

SCORED = pa.schema(
    [field for field in score.PREDICTIONS_SCHEMA if field.name not in ("run_key", "started_at")]
)


def read_decisions(spark: SparkSession, pins: Pins, day: date) -> Split:
    """Return a sample of the decisions of all results known by the end of the day, made in Spark.

    Raises:
        ShortHistory: when no decision is known, or none is before the evaluation.

    """
    results, of_runs = read_history(spark, pins, day)
    runs = of_runs.toArrow()
    at = evaluated_from(runs, day)
    sampled = results.groupBy(bucket_of(runs).alias("bucket")).applyInArrow(
        bucket_sampler(runs, at), from_arrow_schema(sample.SAMPLE_SCHEMA)
    )
    return split(sampled.toArrow().cast(sample.SAMPLE_SCHEMA), at, day)


def evaluated_from(runs: pa.Table, day: date) -> datetime:
    """Return when the evaluation begins.

    Raises:
        ShortHistory: when there is no run.

    """
    if not runs.num_rows:
        raise ShortHistory(f"no test has two results by the end of {day}")
    span = pc.min_max(runs["started_at"].cast(TIMESTAMP)).as_py()
    return evaluation_start(span["min"], span["max"], days=MODEL.gate.pooled_days)


def bucket_sampler(runs: pa.Table, at: datetime) -> Callable[[pa.Table], pa.Table]:
    """Return a function from all results of some tests to the sample of their decisions."""
    is_later_run = pc.greater_equal(runs["started_at"].cast(TIMESTAMP), pa.scalar(at, TIMESTAMP))
    later_total = count_results(runs.filter(is_later_run))
    earlier_total = count_results(runs) - later_total

    def sample_bucket(results: pa.Table) -> pa.Table:
        features = compute_features(results.select(RESULTS_SCHEMA.names).cast(RESULTS_SCHEMA), runs)
        is_later = pc.greater_equal(features["started_at"], pa.scalar(at, TIMESTAMP))
        earlier, later = features.filter(pc.invert(is_later)), features.filter(is_later)
        return pa.concat_tables(
            [
                sample.sample(earlier, sample.TRAINING_SHARES, total=earlier_total),
                sample.sample(later, sample.EVALUATION_SHARES, total=later_total),
            ]
        )

    return sample_bucket


def split(sampled: pa.Table, at: datetime, day: date) -> Split:
    """Split the sampled decisions at an instant.

    Raises:
        ShortHistory: when one of the two parts is empty.

    """
    if not sampled.num_rows:
        raise ShortHistory(f"no test has two results by the end of {day}")
    return split_by_time(sampled, at, day, order=("started_at", "job_key", "test_key", "run_key"))


def fit(split: Split) -> train.TrainedModel:
    """Fit the challenger on the earlier decisions.

    Raises:
        ShortHistory: when too few of them failed, or too few did not.

    """
    model = train.train(split.earlier)
    if model.estimator is None:
        raise ShortHistory(
            f"{model.failure_count:,} of {model.decision_count:,} results before"
            f" {split.evaluated_from:%Y-%m-%d %H:%M} failed;"
            f" at least {train.MINIMUM_FAILURES} must have failed and as many must not"
        )
    return model


def forecast(fitted: train.TrainedModel, decisions: pa.Table) -> Mapping[str, np.ndarray]:
    """Return what the model and its baselines say about decisions, abstentions included."""
    predictions = score.predict(fitted, decisions, with_reasons=False)
    return {scorer: predictions[column].to_numpy() for scorer, column in MODEL.scorers.items()}


def predict_day(
    spark: SparkSession, catalog: Catalog, pins: Pins, day: date, fitted: train.TrainedModel | None
) -> DataFrame | None:
    """Return the predictions for every active test of a job; ``None`` when nothing has run yet."""
    results, of_runs = read_history(spark, pins, day)
    model = fitted or _baseline(results)
    if model is None:
        return None
    not_obtained = read_jobs_not_obtained(spark, catalog, pins, day, shown_days=ACTIVE_DAYS)
    if not_obtained:
        jobs = f"{len(not_obtained):,} jobs whose tabs were not obtained"
        logger.warning(f"{day}: abstains on {jobs}; see ops.fetches")
    runs = of_runs.toArrow()
    decided_at = day_start(day + timedelta(days=1))
    scored = results.groupBy(bucket_of(runs).alias("bucket")).applyInArrow(
        _bucket_scorer(model, runs, decided_at, not_obtained), from_arrow_schema(SCORED)
    )
    return scored.select(
        "job_key",
        "test_key",
        F.lit(day).alias("prediction_date"),
        "failure_probability",
        "shrunken_probability",
        "base_rate_probability",
        "last_value_probability",
        F.nullif(F.array_join("top_reasons", "; "), F.lit("")).alias("top_reasons"),
        "abstain_reason",
        F.lit(pins.of(TEST_RESULTS)).alias("feature_snapshot_id"),
        F.lit(pins.of(CI_RUNS)).alias("runs_snapshot_id"),
    )


def _baseline(results: DataFrame) -> train.TrainedModel | None:
    """Return the shrunken history rate as a model, with the history's base rate; ``None`` without any."""
    finals = results.where(~F.col("test_status").isin(*UNDECIDED))
    count, failed, first, last = finals.agg(
        F.count("*"), F.count_if(F.col("test_status") == "failed"), F.min("started_at"), F.max("started_at")
    ).collect()[0]
    if not count:
        return None
    return train.TrainedModel(
        estimator=None,
        base_rate=failed / count,
        uneventful=(),
        feature_names=FEATURES,
        decision_count=count,
        failure_count=failed,
        trained_from=first.isoformat(),
        trained_until=last.isoformat(),
    )


def _bucket_scorer(
    model: train.TrainedModel, runs: pa.Table, decided_at: datetime, not_obtained: frozenset[int]
) -> Callable[[pa.Table], pa.Table]:
    """Return a function from all results of some tests to the predictions for their active entities."""
    artifact, digest = train.to_bytes(model)
    loaded: list[train.TrainedModel] = []

    def score_bucket(results: pa.Table) -> pa.Table:
        if not loaded:
            loaded.append(train.from_bytes(artifact, digest))
        pending = pending_decisions(results, decided_at)
        known = results.select(pending.column_names).cast(pending.schema)
        decisions = compute_features(pa.concat_tables([known, pending]), runs, only_pending=True)
        return score.predict(loaded[0], decisions, not_obtained=not_obtained).select(SCORED.names)

    return score_bucket
