"""``cilake train``: a challenger, measured on later decisions, promoted only by the gate."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from importlib.metadata import version as package_version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog

from cilake.contracts.model_spec import CHAMPION_SCORER, MODEL_SCORER, Model
from cilake.contracts.registry import table as contract
from cilake.lake.catalog import open_catalog
from cilake.lake.model_store import find_champion, register
from cilake.lake.session import spark_session
from cilake.log import logger
from cilake.models import gate
from cilake.models.as_of import pin_history, read_history
from cilake.models.base import WEIGHT, Forecaster
from cilake.models.landed import require_no_later
from cilake.models.registry import forecaster
from cilake.models.serving import ScoringError, load_model, serving
from cilake.models.split import ShortHistory
from cilake.settings import Settings
from cilake.transforms.measures import evaluate
from cilake.windows import Window

TRAINED_EVERY = timedelta(days=7)
SNAPSHOTS_KEPT = timedelta(days=400)
"""How long what a version was trained on can be read again, as the contract of the versions says."""


def train(settings: Settings, window: Window, *, model: Model) -> dict[str, object]:
    """Train on what was known when the window's last day ended; return the version and its gate verdict.

    Too little history is no failure: nothing is registered, the version is null and ``reason`` says why.

    Raises:
        DayError: when the last day is later than the newest landed one.

    """
    try:
        return _train(settings, window, model)
    except ShortHistory as missing:
        logger.info(f"not trained: {missing}; {_name_server(open_catalog(settings), model, window.end)}")
        return {"model_version": None, "is_promoted": False, "reason": str(missing)}


def _train(settings: Settings, window: Window, model: Model) -> dict[str, object]:
    day = window.end - timedelta(days=1)
    catalog = open_catalog(settings)
    require_no_later(catalog, day)
    pins = pin_history(catalog, model.inputs)
    work = forecaster(model.name)
    with spark_session(settings, app_name=f"train {model.name} {day}") as spark:
        split = work.read_decisions(read_history(spark, catalog, pins, day))
    trained, evaluated = _stand_for(split.earlier), _stand_for(split.later)
    sampled = split.earlier.num_rows + split.later.num_rows
    logger.info(f"sample: {sampled:,} of {trained + evaluated:,} decisions")
    pa.default_memory_pool().release_unused()
    challenger = work.fit(split)
    logger.info(f"challenger: trained on {trained:,} decisions before {split.evaluated_from:%Y-%m-%d %H:%M}")
    rival = _rival(catalog, model, day)
    evidence = collect_evidence(model, work, challenger, split.later, rival[1] if rival else None)
    verdict = gate.judge_challenger(evidence, model.gate)
    metrics = evaluate(evidence.forecasts, evidence.has_failed, evidence.weight).to_pylist()
    artifact, digest = work.to_bytes(challenger)
    for address in model.inputs:
        pins.tag(catalog, contract(address), f"train_{model.name}_{day}", keep=SNAPSHOTS_KEPT)
    row = register(
        settings,
        catalog,
        model_name=model.name,
        day=day,
        artifact=artifact,
        sha256=digest,
        is_promoted=verdict.passed,
        reasons=verdict.text,
        manifest={
            "code_version": package_version("cilake"),
            "contract_versions": {address: contract(address).version for address in model.inputs},
            "data_snapshot_ids": dict(pins.snapshots),
            "trained_from": _first(split.earlier).isoformat(),
            "evaluated_from": split.evaluated_from,
            "evaluated_until": split.evaluated_until,
            "training_rows": trained,
            "evaluation_rows": evaluated,
            "champion": rival[0] if rival else None,
            "metrics": metrics,
        },
    )
    logger.info(f"{row['model_version']}: {row['status']}; {row['gate_reasons']}")
    return {
        "model_version": row["model_version"],
        "is_promoted": row["is_promoted"],
        "trained_rows": trained,
        "metrics": metrics,
    }


def collect_evidence(
    model: Model, work: Forecaster, challenger: Any, later: pa.Table, champion: Any
) -> gate.Evidence:
    """Return what the challenger, the champion and the baselines say about later decisions."""
    forecasts = dict(work.forecast(challenger, later))
    if champion is not None:
        forecasts[CHAMPION_SCORER] = work.forecast(champion, later)[MODEL_SCORER]
    return gate.Evidence(
        forecasts,
        later[model.label].to_numpy(),
        gate.blocks_of(later["started_at"], later[model.gate.block_by]),
        later[WEIGHT.name].to_numpy().astype("float64"),
    )


def _rival(catalog: Catalog, model: Model, day: date) -> tuple[str, Any] | None:
    """Return the champion that a challenger has to beat: one that would still serve at the next training.

    A champion that has served its time by then is replaced by any challenger that beats the baseline.
    """
    serves_days = model.gate.champion_days - TRAINED_EVERY.days
    found: dict[str, Any] | None = find_champion(
        catalog, model.name, day - timedelta(days=1), serves_days=serves_days - 1
    )
    if found is None:
        return None
    try:
        champion = load_model(catalog, found)
    except ScoringError as error:
        logger.warning(
            f"champion: not compared, {error}"
        )  # it cannot serve, and this training is the way out
        return None
    return (found["model_version"], champion) if champion else None


def _name_server(catalog: Catalog, model: Model, day: date) -> str:
    """Return in words what makes the predictions of the day."""
    champion = serving(catalog, model, day)
    try:
        is_served = champion is not None and load_model(catalog, champion) is not None
    except ScoringError as error:
        return f"nothing can serve: {error}"
    return f"{champion['model_version']} serves" if champion and is_served else "the baseline serves"


def _stand_for(sampled: pa.Table) -> int:
    return round(pc.sum(sampled[WEIGHT.name].cast(pa.float64())).as_py() or 0)


def _first(decisions: pa.Table) -> datetime:
    first: datetime = pc.min(decisions["started_at"]).as_py()
    return first
