"""What this model does for the steps that are the same for all models, see ``models.base.Forecaster``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession
from sklearn.linear_model import LogisticRegression

from cilake.contracts.vocabulary.ci import UNDECIDED
from cilake.lake.literals import listed
from cilake.lake.snapshots import Pins
from cilake.models import artifact
from cilake.models.as_of import History
from cilake.models.base import WEIGHT
from cilake.models.split import ShortHistory, Split, evaluation_start, split_by_time
from cilake.transforms.words import double

from .spec import MODEL

MINIMUM_RUNS = 3
MINIMUM_FAILURES = 20
ACTIVE_DAYS = 14
SHRINKAGE_RUNS = 2.0
FEATURES = ("history_log_odds", "has_failed_last", "fail_count")

FINAL = f"test_status NOT IN {listed(UNDECIDED)}"
FINALS = f"""
SELECT count(*) AS result_count, count_if(test_status = 'failed') AS failed_count FROM results WHERE {FINAL}
"""
STATES = f"""
SELECT job_key, test_key, count(*) AS run_count, count_if(test_status = 'failed') AS fail_count,
    max_by(test_status = 'failed', struct(started_at, run_key)) AS has_failed_last,
    cast(max(started_at) AS date) AS newest_date
FROM results WHERE {FINAL} GROUP BY job_key, test_key
"""
DECISIONS = f"""
SELECT * FROM (
    SELECT run_key, job_key, test_key, started_at, test_status = 'failed' AS {MODEL.label},
        count(*) OVER before AS run_count,
        cast(sum(CASE WHEN test_status = 'failed' THEN 1 ELSE 0 END) OVER before AS bigint) AS fail_count,
        last_value(test_status = 'failed') OVER before AS has_failed_last
    FROM results WHERE {FINAL}
    WINDOW before AS (
        PARTITION BY job_key, test_key ORDER BY started_at, run_key
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
) WHERE run_count > 0
"""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learned: the share of failures, and a weight for each feature."""

    base_rate: float
    intercept: float
    weights: tuple[float, ...]


def read_decisions(history: History) -> Split:
    """Return all decisions known by the end of the day: each result but the first, with what was before it.

    Raises:
        ShortHistory: when there are none, or none before or after the division.

    """
    engine, day = history.engine, history.day
    decisions = engine.to_arrow(engine.sql(DECISIONS, results=history.results))
    decisions = decisions.append_column(WEIGHT, pa.array(np.ones(decisions.num_rows), WEIGHT.type))
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
    spark: SparkSession, catalog: Catalog, pins: Pins, history: History, fitted: Fitted | None
) -> Any:
    """Return the predictions for every test with a result lately; ``None`` when nothing has run yet."""
    engine = history.engine
    (found,) = engine.to_arrow(engine.sql(FINALS, results=history.results)).to_pylist()
    if not found["result_count"]:
        return None
    base_rate = fitted.base_rate if fitted else found["failed_count"] / found["result_count"]
    share = f"(fail_count + {double(SHRINKAGE_RUNS * base_rate)}) / (run_count + {double(SHRINKAGE_RUNS)})"
    query = f"""
    WITH active AS (SELECT *, {share} AS history FROM ({STATES})
        WHERE newest_date > DATE '{history.day - timedelta(days=ACTIVE_DAYS)}')
    SELECT job_key, test_key, DATE '{history.day}' AS prediction_date,
        CASE WHEN run_count < {MINIMUM_RUNS} THEN history ELSE {_probability(fitted)} END
            AS failure_probability,
        history AS history_probability,
        CASE WHEN run_count < {MINIMUM_RUNS} THEN 'too_few_runs' END AS abstain_reason
    FROM active
    """
    return engine.sql(query, results=history.results)


def _probability(fitted: Fitted | None) -> str:
    """Return what ``forecast`` says, in SQL."""
    if fitted is None:
        return "history"
    values = ("ln(history / (1 - history))", "cast(has_failed_last AS int)", "ln(1 + fail_count)")
    terms = (f"({double(weight)}) * {value}" for weight, value in zip(fitted.weights, values, strict=True))
    return f"1 / (1 + exp(-(({double(fitted.intercept)}) + {' + '.join(terms)})))"


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
