"""``cilake train``: a challenger, measured on later decisions, promoted only by the gate."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version as package_version

import pyarrow as pa
import pyarrow.compute as pc

from cilake.apps.history import read_history
from cilake.apps.progress import say
from cilake.apps.registry import register
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.registry import table as contract
from cilake.errors import PermanentError
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


class TrainingError(PermanentError, RuntimeError):
    """There is not enough history to train on."""


def train_test_failure(settings: Settings, window: Window) -> dict[str, object]:
    """The version trained on what was known when the window's last day ended, with its gate verdict.

    The latest week, or the latest fifth of a shorter history, is never trained on: there the challenger meets
    the baselines.
    """
    day = window.end - timedelta(days=1)
    with spark_session(settings, app_name=f"train {MODEL.name} {day}") as spark:
        results, runs = read_history(spark, day)
        snapshot = snapshot_id(spark, TEST_RESULTS)
        features = compute_features(results.toArrow(), runs.toArrow())
    say(f"{features.num_rows:,} decisions")
    if not features.num_rows:
        raise TrainingError(f"no test has two results in the days before {day}; land more history first")
    span = pc.min_max(features["started_at"]).as_py()
    split = span["max"] - min(EVALUATED, (span["max"] - span["min"]) * EVALUATED_RATIO)
    is_earlier = pc.less(features["started_at"], pa.scalar(split, features.schema.field("started_at").type))
    earlier, later = features.filter(is_earlier), features.filter(pc.invert(is_earlier))
    del features
    if not earlier.num_rows or not later.num_rows:
        raise TrainingError(f"the history before {day} is too short to split by time; land more first")
    model = train.train(earlier)
    say(f"trained on {earlier.num_rows:,} decisions before {split:%Y-%m-%d %H:%M}")
    table = _measure(model, later)
    passed, reasons = evaluate.gate(table)
    passed = passed and model.estimator is not None
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
        reasons=reasons if model.estimator is not None else ["too few failures to learn from", *reasons],
        manifest={
            "code_version": package_version("cilake"),
            "contract_versions": {a: contract(a).version for a in MODEL.inputs},
            "data_snapshot_ids": {TEST_RESULTS.address: snapshot},
            "trained_from": span["min"],
            "evaluated_from": split,
            "evaluated_until": span["max"],
            "training_rows": earlier.num_rows,
            "evaluation_rows": later.num_rows,
            "metrics": table.to_pylist(),
        },
    )
    say(f"{name}: {'promoted' if passed else 'not promoted, the baseline serves'} {'; '.join(reasons)}")
    return {
        "model_version": name,
        "is_promoted": passed,
        "trained_rows": earlier.num_rows,
        "metrics": table.to_pylist(),
    }


def _measure(model: train.TrainedModel, decisions: pa.Table) -> pa.Table:
    predictions = score.predict(model, decisions, with_reasons=False)
    forecasts = {
        evaluate.MODEL_SCORER: predictions["failure_probability"].to_numpy(),
        "shrunken_history": predictions["shrunken_probability"].to_numpy(),
        "base_rate": predictions["base_rate_probability"].to_numpy(),
        "last_value": predictions["last_value_probability"].to_numpy(),
    }
    return evaluate.evaluate(forecasts, decisions["has_failed"].to_numpy(zero_copy_only=False))
