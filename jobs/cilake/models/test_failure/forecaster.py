"""What this model does for the steps that are the same for all models, see ``models.base.Forecaster``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.model import Table
from cilake.contracts.vocabulary.ci import UNDECIDED
from cilake.lake.literals import listed
from cilake.lake.snapshots import Pins
from cilake.log import logger
from cilake.models.as_of import HISTORY_DAYS, History, count_results, in_buckets
from cilake.models.landed import read_jobs_not_obtained
from cilake.models.split import ShortHistory, Split, evaluation_start, split_by_time
from cilake.models.test_failure import sample
from cilake.models.test_failure.features.compute import (
    RESULTS_SCHEMA,
    TIMESTAMP,
    compute_features,
    pending_decisions,
)
from cilake.models.test_failure.fit import MINIMUM_FAILURES, fit_sample
from cilake.models.test_failure.fitted import FittedModel, from_bytes, to_bytes
from cilake.models.test_failure.predict import PREDICTIONS_SCHEMA, predict
from cilake.models.test_failure.spec import ACTIVE_DAYS, FEATURES, MODEL
from cilake.windows import day_start

__all__ = ["fit", "forecast", "from_bytes", "predict_day", "read_decisions", "to_bytes"]

SCORED = pa.schema([field for field in PREDICTIONS_SCHEMA if field.name not in ("run_key", "started_at")])
FINALS = f"""
SELECT count(*) AS result_count, count_if(test_status = 'failed') AS failed_count,
    min(started_at) AS first, max(started_at) AS last
FROM results WHERE test_status NOT IN {listed(UNDECIDED)}
"""
PREDICTED = """
SELECT job_key, test_key, DATE '{day}' AS prediction_date,
    failure_probability, shrunken_probability, base_rate_probability, last_value_probability,
    nullif(array_join(top_reasons, '; '), '') AS top_reasons, abstain_reason,
    {results} AS feature_snapshot_id, {runs} AS runs_snapshot_id
FROM scored
"""


def read_decisions(history: History) -> Split:
    """Return a sample of the decisions of all results known by the end of the day.

    Raises:
        ShortHistory: when no decision is known, or none is before the evaluation.

    """
    engine, day = history.engine, history.day
    at = evaluated_from(history.runs, day)
    sampler = bucket_sampler(history.runs, at)
    sampled = engine.apply_by(["bucket"], sampler, in_buckets(history), sample.SAMPLE_SCHEMA)
    return split(engine.to_arrow(sampled).cast(sample.SAMPLE_SCHEMA), at, day)


def evaluated_from(runs: pa.Table, day: date) -> datetime:
    """Return when the evaluation begins.

    Raises:
        ShortHistory: when there is no run.

    """
    if not runs.num_rows:
        raise ShortHistory(f"no test has two results in the {HISTORY_DAYS} days until the end of {day}")
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
        raise ShortHistory(f"no test has two results in the {HISTORY_DAYS} days until the end of {day}")
    return split_by_time(sampled, at, day, order=("started_at", "job_key", "test_key", "run_key"))


def fit(split: Split) -> FittedModel:
    """Fit the challenger on the earlier decisions.

    Raises:
        ShortHistory: when too few of them failed, or too few did not.

    """
    model = fit_sample(split.earlier)
    if model.estimator is None:
        raise ShortHistory(
            f"{model.failure_count:,} of {model.decision_count:,} results before"
            f" {split.evaluated_from:%Y-%m-%d %H:%M} failed;"
            f" at least {MINIMUM_FAILURES} must have failed and as many must not"
        )
    return model


def forecast(fitted: FittedModel, decisions: pa.Table) -> Mapping[str, np.ndarray]:
    """Return what the model and its baselines say about decisions, abstentions included."""
    predictions = predict(fitted, decisions, with_reasons=False)
    return {scorer: predictions[column].to_numpy() for scorer, column in MODEL.scorers.items()}


def predict_day(
    spark: SparkSession, catalog: Catalog, pins: Pins, history: History, fitted: FittedModel | None
) -> Any:
    """Return the predictions for every active test of a job; ``None`` when nothing has run yet."""
    day, engine = history.day, history.engine
    model = fitted or _baseline(history)
    if model is None:
        return None
    not_obtained = read_jobs_not_obtained(spark, catalog, pins, day, shown_days=ACTIVE_DAYS)
    if not_obtained:
        jobs = f"{len(not_obtained):,} jobs whose tabs were not obtained"
        logger.warning(f"{day}: abstains on {jobs}; see ops.fetches")
    scorer = _bucket_scorer(model, history.runs, day_start(day + timedelta(days=1)), not_obtained)
    scored = engine.apply_by(["bucket"], scorer, in_buckets(history), SCORED)
    results, runs = (_snapshot(pins, table) for table in (TEST_RESULTS, CI_RUNS))
    return engine.sql(PREDICTED.format(day=day, results=results, runs=runs), scored=scored)


def _snapshot(pins: Pins, table: Table) -> str:
    pinned = pins.of(table)
    return f"cast({'NULL' if pinned is None else pinned} AS bigint)"


def _baseline(history: History) -> FittedModel | None:
    """Return the shrunken history rate as a model, with the history's base rate; ``None`` without any."""
    engine = history.engine
    (found,) = engine.to_arrow(engine.sql(FINALS, results=history.results)).to_pylist()
    count, failed = found["result_count"], found["failed_count"]
    if not count:
        return None
    return FittedModel(
        estimator=None,
        base_rate=failed / count,
        uneventful=(),
        feature_names=FEATURES,
        decision_count=count,
        failure_count=failed,
        trained_from=found["first"].isoformat(),
        trained_until=found["last"].isoformat(),
    )


def _bucket_scorer(
    model: FittedModel, runs: pa.Table, decided_at: datetime, not_obtained: frozenset[int]
) -> Callable[[pa.Table], pa.Table]:
    """Return a function from all results of some tests to the predictions for their active entities."""
    artifact, digest = to_bytes(model)
    loaded: list[FittedModel] = []

    def score_bucket(results: pa.Table) -> pa.Table:
        if not loaded:
            loaded.append(from_bytes(artifact, digest))
        pending = pending_decisions(results, decided_at)
        known = results.select(pending.column_names).cast(pending.schema)
        decisions = compute_features(pa.concat_tables([known, pending]), runs, only_pending=True)
        return predict(loaded[0], decisions, not_obtained=not_obtained).select(SCORED.names)

    return score_bucket
