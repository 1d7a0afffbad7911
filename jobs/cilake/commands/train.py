"""``cilake train``: a challenger, measured on later decisions, promoted only by the gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.metadata import version as package_version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from cilake.contracts.registry import table as contract
from cilake.lake.catalog import open_catalog
from cilake.lake.model_store import find_champion, register
from cilake.lake.session import spark_session
from cilake.log import say
from cilake.models.as_of import INPUTS, bucket_of, count_results, pin_history, read_history
from cilake.models.serving import ScoringError, load_model, serving
from cilake.models.test_failure import evaluate, gate, sample, score, train
from cilake.models.test_failure.features import RESULTS_SCHEMA, TIMESTAMP, compute_features
from cilake.models.test_failure.spec import MODEL
from cilake.settings import Settings
from cilake.windows import Window

EVALUATED_RATIO = 0.25
EVALUATED = timedelta(days=MODEL.gate.pooled_days)
TRAINED_EVERY = timedelta(days=7)
SNAPSHOTS_KEPT = timedelta(days=400)
"""How long what a version was trained on can be read again, as the contract of the versions says."""


class ShortHistory(Exception):
    """There is too little to learn from so far; the message says what is missing."""


@dataclass(frozen=True)
class Split:
    """Decisions divided by time: the challenger is trained on the earlier and measured on the later ones."""

    evaluated_from: datetime
    evaluated_until: datetime
    earlier: pa.Table
    later: pa.Table


def train_test_failure(settings: Settings, window: Window) -> dict[str, object]:
    """Train on what was known when the window's last day ended; return the version and its gate verdict.

    Too little history is no failure: nothing is registered, the version is null and ``reason`` says why.
    """
    try:
        return _train(settings, window)
    except ShortHistory as missing:
        say(f"not trained: {missing}; {_name_server(open_catalog(settings), window.end)}")
        return {"model_version": None, "is_promoted": False, "reason": str(missing)}


def _train(settings: Settings, window: Window) -> dict[str, object]:
    day = window.end - timedelta(days=1)
    catalog = open_catalog(settings)
    pins = pin_history(catalog)
    with spark_session(settings, app_name=f"train {MODEL.name} {day}") as spark:
        results, of_runs = read_history(spark, pins, day)
        runs = of_runs.toArrow()
        at = evaluated_from(runs, day)
        sampled = sample_decisions(results, runs, at)
    split = split_by_time(sampled, at, day)
    say(f"{sampled.num_rows:,} decisions stand for {_stand_for(sampled):,}")
    del sampled
    pa.default_memory_pool().release_unused()
    model = fit(split)
    say(f"trained on {model.decision_count:,} decisions before {at:%Y-%m-%d %H:%M}")
    rival = _rival(catalog, day)
    evidence = collect_evidence(model, split.later, rival[1] if rival else None)
    verdict = gate.judge_challenger(evidence)
    metrics = evaluate.evaluate(evidence.forecasts, evidence.has_failed, evidence.weight).to_pylist()
    artifact, digest = train.to_bytes(model)
    for table in INPUTS:
        pins.tag(catalog, table, f"train_{MODEL.name}_{day}", keep=SNAPSHOTS_KEPT)
    row = register(
        settings,
        catalog,
        model_name=MODEL.name,
        day=day,
        artifact=artifact,
        sha256=digest,
        is_promoted=verdict.passed,
        reasons=verdict.text,
        manifest={
            "code_version": package_version("cilake"),
            "contract_versions": {address: contract(address).version for address in MODEL.inputs},
            "data_snapshot_ids": dict(pins.snapshots),
            "trained_from": model.trained_from,
            "evaluated_from": split.evaluated_from,
            "evaluated_until": split.evaluated_until,
            "training_rows": model.decision_count,
            "evaluation_rows": _stand_for(split.later),
            "champion": rival[0] if rival else None,
            "metrics": metrics,
        },
    )
    say(f"{row['model_version']}: {row['status']}; {row['gate_reasons']}")
    return {
        "model_version": row["model_version"],
        "is_promoted": row["is_promoted"],
        "trained_rows": model.decision_count,
        "metrics": metrics,
    }


def evaluated_from(runs: pa.Table, day: date) -> datetime:
    """Return when the evaluation begins: the latest weeks, of less history the latest quarter.

    Raises:
        ShortHistory: when there is no run.

    """
    if not runs.num_rows:
        raise ShortHistory(f"no test has two results by the end of {day}")
    span = pc.min_max(runs["started_at"].cast(TIMESTAMP)).as_py()
    at: datetime = span["max"] - min(EVALUATED, (span["max"] - span["min"]) * EVALUATED_RATIO)
    return at


def sample_decisions(results: DataFrame, runs: pa.Table, at: datetime) -> pa.Table:
    """Return a sample of the decisions of all results, made in Spark: only what is sampled comes here."""
    sampled = results.groupBy(bucket_of(runs).alias("bucket")).applyInArrow(
        bucket_sampler(runs, at), from_arrow_schema(sample.SAMPLE_SCHEMA)
    )
    return sampled.toArrow().cast(sample.SAMPLE_SCHEMA)


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


def split_by_time(sampled: pa.Table, at: datetime, day: date) -> Split:
    """Split the sampled decisions known by the end of the day into those before an instant and the others.

    Raises:
        ShortHistory: when one of the two parts is empty.

    """
    if not sampled.num_rows:
        raise ShortHistory(f"no test has two results by the end of {day}")
    # In one order whatever order the buckets came in, so that training repeats to the last bit.
    names = ("started_at", "job_key", "test_key", "run_key")
    order = pc.sort_indices(sampled.select(names), sort_keys=[(name, "ascending") for name in names])
    earlier_count = pc.sum(pc.less(sampled["started_at"], pa.scalar(at, TIMESTAMP))).as_py()
    earlier, later = sampled.take(order[:earlier_count]), sampled.take(order[earlier_count:])
    for part, side in ((earlier, "before"), (later, "from")):
        if not part.num_rows:
            raise ShortHistory(f"no decision known by the end of {day} is {side} {at:%Y-%m-%d %H:%M} on")
    return Split(at, pc.max(sampled["started_at"]).as_py(), earlier, later)


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


def collect_evidence(
    model: train.TrainedModel, later: pa.Table, champion: train.TrainedModel | None
) -> gate.Evidence:
    """Return what the challenger, the champion and the baselines say about later decisions."""
    predictions = score.predict(model, later, with_reasons=False)
    forecasts = {scorer: predictions[column].to_numpy() for scorer, column in evaluate.SCORERS.items()}
    if champion is not None:
        by_champion = score.predict(champion, later, with_reasons=False)
        forecasts[evaluate.CHAMPION_SCORER] = by_champion["failure_probability"].to_numpy()
    return gate.Evidence(
        forecasts,
        later["has_failed"].to_numpy(),
        gate.blocks_of(later["started_at"], later["job_key"]),
        later[sample.WEIGHT.name].to_numpy().astype("float64"),
    )


def _rival(catalog: Catalog, day: date) -> tuple[str, train.TrainedModel] | None:
    """Return the champion that a challenger has to beat: one that would still serve at the next training.

    A champion that has served its time by then is replaced by any challenger that beats the baseline.
    """
    serves_days = MODEL.gate.champion_days - TRAINED_EVERY.days
    found: dict[str, Any] | None = find_champion(
        catalog, MODEL.name, day - timedelta(days=1), serves_days=serves_days - 1
    )
    if found is None:
        return None
    try:
        model = load_model(catalog, found)
    except ScoringError as error:
        say(f"no rival: {error}")  # it cannot serve, and this training is the way out
        return None
    return (found["model_version"], model) if model else None


def _name_server(catalog: Catalog, day: date) -> str:
    """Return in words what makes the predictions of the day."""
    champion = serving(catalog, day)
    try:
        is_served = champion is not None and load_model(catalog, champion) is not None
    except ScoringError as error:
        return f"nothing can serve: {error}"
    return f"{champion['model_version']} serves" if champion and is_served else "the baseline serves"


def _stand_for(sampled: pa.Table) -> int:
    return round(pc.sum(sampled[sample.WEIGHT.name].cast(pa.float64())).as_py() or 0)
