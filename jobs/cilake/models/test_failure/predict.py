"""Probabilities, reasons and abstentions for decisions, next to what the baselines would say."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from cilake.models.test_failure.features.matrix import feature_matrix, read_column
from cilake.models.test_failure.spec import (
    ACTIVE_DAYS,
    FEATURE_LIST,
    MINIMUM_RUNS,
    SHRINKAGE_RUNS,
    SILENT_HOURS,
    SILENT_INTERVALS,
)

if TYPE_CHECKING:
    from cilake.models.test_failure.fitted import FittedModel

#: The last value is a verdict, not a probability; certainty would make its log loss infinite.
LAST_VALUE_DOUBT = 0.001
#: Rows the estimator sees at once: bounds the memory of a worker.
ROWS_PER_BLOCK = 100_000
#: A group of features is a reason if it raises the odds of failure at least by this factor.
REASON_ODDS = 1.25
MAX_REASONS = 3

PREDICTIONS_SCHEMA = pa.schema(
    [
        ("run_key", pa.int64()),
        ("job_key", pa.int64()),
        ("test_key", pa.int64()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("failure_probability", pa.float64()),
        ("top_reasons", pa.list_(pa.string())),
        ("abstain_reason", pa.string()),
        ("shrunken_probability", pa.float64()),
        ("base_rate_probability", pa.float64()),
        ("last_value_probability", pa.float64()),
    ]
)


def predict(
    model: FittedModel,
    features: pa.Table,
    *,
    with_reasons: bool = True,
    not_obtained: Set[int] = frozenset(),
) -> pa.Table:
    """Return one row per decision, in the order given.

    Where the model abstains, ``failure_probability`` is the shrunken history rate and
    ``abstain_reason`` says why the model has no probability itself. ``not_obtained`` are the jobs of which
    the landing of the decision's day obtained nothing.
    """
    own = probabilities(model, features)
    baselines = baseline_probabilities(features, model.base_rate)
    reason = abstain_reasons(features, not_obtained)
    abstains = reason != ""
    probability = np.where(abstains, baselines["shrunken_history"], own)
    count = len(features)
    reasons = top_reasons(model, features, own) if with_reasons else [[] for _ in range(count)]
    columns = [features.column(name) for name in ("run_key", "job_key", "test_key", "started_at")]
    return pa.Table.from_arrays(
        [
            *columns,
            pa.array(probability),
            pa.array(reasons, PREDICTIONS_SCHEMA.field("top_reasons").type),
            pa.array(reason.astype(object), pa.string(), mask=~abstains),
            pa.array(baselines["shrunken_history"]),
            pa.array(baselines["base_rate"]),
            pa.array(baselines["last_value"]),
        ],
        schema=PREDICTIONS_SCHEMA,
    )


def probabilities(model: FittedModel, features: pa.Table) -> np.ndarray:
    """Return the model's own probability of each decision, or the baseline's where that one serves."""
    if model.estimator is None:
        return baseline_probabilities(features, model.base_rate)["shrunken_history"]
    parts = [np.zeros(0)]
    for start in range(0, len(features), ROWS_PER_BLOCK):
        block = feature_matrix(features.slice(start, ROWS_PER_BLOCK))
        parts.append(_sigmoid(_log_odds(model, block)))
    return np.concatenate(parts)


def baseline_probabilities(features: pa.Table, base_rate: float) -> dict[str, np.ndarray]:
    """Return the probability by each baseline of the declaration."""
    fails = read_column(features, "own_fail_count").astype(np.float64)
    runs = read_column(features, "own_run_count").astype(np.float64)
    last = read_column(features, "own_failed_last_1")
    return {
        "shrunken_history": (fails + SHRINKAGE_RUNS * base_rate) / (runs + SHRINKAGE_RUNS),
        "last_value": np.where(last > 0, 1 - LAST_VALUE_DOUBT, LAST_VALUE_DOUBT),
        "base_rate": np.full(len(features), base_rate),
    }


def abstain_reasons(features: pa.Table, not_obtained: Set[int] = frozenset()) -> np.ndarray:
    """Return the reason why the model abstains, or an empty string."""
    runs = read_column(features, "own_run_count")
    hours = read_column(features, "own_hours_since_result")
    job_runs = read_column(features, "job_run_count")
    reason = np.full(len(features), "", dtype="<U12")
    reason[runs < MINIMUM_RUNS] = "too_few_runs"
    reason[job_runs < MINIMUM_RUNS] = "unseen_job"
    is_unseen = np.isin(read_column(features, "job_key"), np.array(sorted(not_obtained), dtype=np.int64))
    reason[(hours > ACTIVE_DAYS * 24) | _is_silent(features) | is_unseen] = "stale_input"
    return reason


def _is_silent(features: pa.Table) -> np.ndarray:
    """Return whether the job of each decision has no known run for much longer than is usual for it."""
    runs = read_column(features, "job_run_count").astype(np.float64)
    since_newest = np.nan_to_num(read_column(features, "job_hours_since_run").astype(np.float64))
    between = read_column(features, "job_age_days").astype(np.float64) * 24 - since_newest
    usual = between / np.maximum(runs - 1, 1)
    silent: np.ndarray = (
        (runs >= MINIMUM_RUNS) & (since_newest > SILENT_HOURS) & (since_newest > SILENT_INTERVALS * usual)
    )
    return silent


def top_reasons(model: FittedModel, features: pa.Table, probability: np.ndarray) -> list[list[str]]:
    """Return for each decision what raises its probability most, in words, strongest first.

    A group of features counts by how much the odds fall when the group is replaced by the values of an
    uneventful test; so a reason is given only if it changed the probability and is about failures.
    """
    texts = reason_texts(features)
    if model.estimator is None:
        past = zip(texts["recent"], texts["history"], strict=True)
        return [[text for text in both if text] for both in past]
    groups = list(texts)
    reasons: list[list[str]] = []
    for start in range(0, len(features), ROWS_PER_BLOCK):
        block = feature_matrix(features.slice(start, ROWS_PER_BLOCK))
        stop = start + len(block)
        own = np.clip(probability[start:stop], 1e-9, 1 - 1e-9)
        odds = np.log(own) - np.log1p(-own)
        gains = np.stack([odds - _log_odds(model, _without(model, block, group)) for group in groups], axis=1)
        order = np.argsort(-gains, axis=1, kind="stable")[:, :MAX_REASONS].tolist()
        matters = (gains > np.log(REASON_ODDS)).tolist()
        reasons.extend(
            [text for g in chosen if matters[i][g] and (text := texts[groups[g]][start + i])]
            for i, chosen in enumerate(order)
        )
    return reasons


def _log_odds(model: FittedModel, matrix: np.ndarray) -> np.ndarray:
    if model.estimator is None:
        raise ValueError("the baseline has no estimator to ask")
    with threadpool_limits(limits=1):
        raw: np.ndarray = model.estimator.decision_function(matrix)
    return raw


def _sigmoid(values: np.ndarray) -> np.ndarray:
    odds: np.ndarray = 1.0 / (1.0 + np.exp(-values))
    return odds


def _without(model: FittedModel, matrix: np.ndarray, group: str) -> np.ndarray:
    changed = matrix.copy()
    for i, feature in enumerate(FEATURE_LIST):
        if feature.group == group:
            changed[:, i] = model.uneventful[i]
    return changed


def reason_texts(features: pa.Table) -> dict[str, list[str]]:
    """Return per group of features the failures that its values are about, a text per decision, or empty."""

    def whole(name: str) -> list[int]:
        values: list[int] = np.nan_to_num(read_column(features, name)).astype(np.int64).tolist()
        return values

    runs, fails = whole("own_run_count"), whole("own_fail_count")
    recent = []
    for total, last5, last20, streak in zip(
        runs,
        whole("own_fail_count_5"),
        whole("own_fail_count_20"),
        whole("own_fail_streak_count"),
        strict=True,
    ):
        if streak > 5:
            recent.append(f"failed in each of the last {streak} runs")
        elif last5:
            recent.append(f"failed in {last5} of last {min(total, 5)} runs")
        elif last20:
            recent.append(f"failed in {last20} of last {min(total, 20)} runs")
        else:
            recent.append("")
    history = [
        f"failed in {failed} of all {total} runs, flip rate {flip} %" if failed else ""
        for failed, total, flip in zip(fails, runs, whole("own_flip_rate"), strict=True)
    ]
    elsewhere = [
        _elsewhere_text(failed, total, jobs)
        for failed, total, jobs in zip(
            whole("elsewhere_fail_count_24h"),
            whole("elsewhere_result_count_24h"),
            whole("elsewhere_failing_job_count"),
            strict=True,
        )
    ]
    percent = (
        np.nan_to_num(read_column(features, "job_fail_ratio_last_1").astype(np.float64) * 100)
        .round(1)
        .tolist()
    )
    job = [
        f"{share} % of the job's tests failed in its previous run, {mass} of its last 10 runs broke widely"
        if share or mass
        else ""
        for share, mass in zip(percent, whole("job_mass_failure_count_10"), strict=True)
    ]
    return {"recent": recent, "history": history, "elsewhere": elsewhere, "job": job}


def _elsewhere_text(failed: int, total: int, failing_jobs: int) -> str:
    if failed:
        return f"failed {failed} of {total} times in other jobs in 24 hours, now failing in {failing_jobs}"
    return f"now failing in {failing_jobs} other jobs" if failing_jobs else ""
