"""``cilake train``: a challenger, measured on later decisions, promoted only by the gate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.metadata import version as package_version

import pyarrow as pa
import pyarrow.compute as pc

from cilake.apps.history import read_history
from cilake.apps.progress import say
from cilake.apps.registry import register
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.registry import table as contract
from cilake.lake.catalog import open_catalog
from cilake.lake.publish import snapshot_id
from cilake.lake.session import spark_session
from cilake.models.test_failure import evaluate, score, train
from cilake.models.test_failure.features import compute_features
from cilake.models.test_failure.spec import MODEL
from cilake.settings import Settings
from cilake.windows import Window

EVALUATED_RATIO = 0.2
EVALUATED = timedelta(days=7)
"""How long a model serves before the next training: the span it has to prove itself on."""


class ShortHistory(Exception):
    """There is too little to learn from so far; the message says what is missing."""


@dataclass(frozen=True)
class Split:
    """Decisions divided by time: the challenger is trained on the earlier and measured on the later ones."""

    trained_from: datetime
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
        say(f"not trained: {missing}; the baseline serves")
        return {"model_version": None, "is_promoted": False, "reason": str(missing)}


def _train(settings: Settings, window: Window) -> dict[str, object]:
    day = window.end - timedelta(days=1)
    with spark_session(settings, app_name=f"train {MODEL.name} {day}") as spark:
        results, runs = read_history(spark, day)
        snapshot = snapshot_id(open_catalog(settings), TEST_RESULTS)
        features = compute_features(results.toArrow(), runs.toArrow())
    say(f"{features.num_rows:,} decisions")
    split = split_by_time(features, day)
    del features
    model = fit(split)
    say(f"trained on {split.earlier.num_rows:,} decisions before {split.evaluated_from:%Y-%m-%d %H:%M}")
    table = _measure(model, split.later)
    passed, reasons = evaluate.gate(table)
    artifact, digest = train.to_bytes(model)
    catalog = open_catalog(settings)
    name = register(
        settings,
        catalog,
        model_name=MODEL.name,
        day=day,
        artifact=artifact,
        sha256=digest,
        is_promoted=passed,
        reasons=reasons,
        manifest={
            "code_version": package_version("cilake"),
            "contract_versions": {a: contract(a).version for a in MODEL.inputs},
            "data_snapshot_ids": {TEST_RESULTS.address: snapshot},
            "trained_from": split.trained_from,
            "evaluated_from": split.evaluated_from,
            "evaluated_until": split.evaluated_until,
            "training_rows": split.earlier.num_rows,
            "evaluation_rows": split.later.num_rows,
            "metrics": table.to_pylist(),
        },
    )
    say(f"{name}: {'promoted' if passed else 'not promoted, the baseline serves'} {'; '.join(reasons)}")
    return {
        "model_version": name,
        "is_promoted": passed,
        "trained_rows": split.earlier.num_rows,
        "metrics": table.to_pylist(),
    }


def split_by_time(features: pa.Table, day: date) -> Split:
    """Split the decisions known by the end of the day: the latest week, of less history the latest fifth.

    Raises:
        ShortHistory: when one of the two parts is empty.

    """
    if not features.num_rows:
        raise ShortHistory(f"no test has two results by the end of {day}")
    span = pc.min_max(features["started_at"]).as_py()
    at = span["max"] - min(EVALUATED, (span["max"] - span["min"]) * EVALUATED_RATIO)
    is_earlier = pc.less(features["started_at"], pa.scalar(at, features.schema.field("started_at").type))
    earlier, later = features.filter(is_earlier), features.filter(pc.invert(is_earlier))
    if not earlier.num_rows:
        raise ShortHistory(
            f"all decisions by the end of {day} are of one instant, {span['max']:%Y-%m-%d %H:%M}"
        )
    return Split(span["min"], at, span["max"], earlier, later)


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


def _measure(model: train.TrainedModel, decisions: pa.Table) -> pa.Table:
    predictions = score.predict(model, decisions, with_reasons=False)
    forecasts = {
        evaluate.MODEL_SCORER: predictions["failure_probability"].to_numpy(),
        "shrunken_history": predictions["shrunken_probability"].to_numpy(),
        "base_rate": predictions["base_rate_probability"].to_numpy(),
        "last_value": predictions["last_value_probability"].to_numpy(),
    }
    return evaluate.evaluate(forecasts, decisions["has_failed"].to_numpy(zero_copy_only=False))
