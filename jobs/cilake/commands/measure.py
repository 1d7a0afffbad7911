"""``cilake measure``: what happened after each prediction, how good it was, and who goes on serving."""

from __future__ import annotations

from datetime import date

from pyiceberg.catalog import Catalog

from cilake.build.tables import build_tables
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.model_spec import Model
from cilake.contracts.predictions.accuracy import FINAL_AGE_DAYS
from cilake.contracts.predictions.accuracy import TABLE as ACCURACY
from cilake.contracts.registry import made_by
from cilake.lake.catalog import create_missing, newest_date, open_catalog
from cilake.lake.session import spark_session
from cilake.models.champion import find_judged, judge
from cilake.settings import Settings
from cilake.windows import Window


def measure(settings: Settings, window: Window, *, model: Model) -> dict[str, int]:
    """Write outcomes and accuracy of every prediction whose outcome may have changed; judge the champion.

    What may have changed is what the runs and the ledger gained, lost or corrected since the tables were last
    made, however long ago the predictions were. The window only names the run in records.
    """
    catalog = open_catalog(settings)
    step = f"measure_{model.name}"
    create_missing(catalog, made_by(step))
    extras = extras_of(catalog, model)
    also = {ACCURACY.address: _find_aged(catalog, model, newest_date(catalog, CI_RUNS))}
    counts = build_tables(settings, window, step=step, extras=extras, also=also)
    if find_judged(catalog, model):
        with spark_session(settings, app_name=f"judge {model.name}") as spark:
            judge(spark, catalog, model)
    return counts


def _find_aged(catalog: Catalog, model: Model, newest: date | None) -> list[date]:
    """Return the decision days whose outcomes are older by now than their accuracy says.

    Such a day has no new outcome where no run came for long.
    """
    measured = catalog.load_table(ACCURACY.address).scan(
        row_filter=f"model_name = '{model.name}' and outcome_age_days < {FINAL_AGE_DAYS}",
        selected_fields=("prediction_date", "outcome_age_days"),
    )
    ages = {(row["prediction_date"], row["outcome_age_days"]) for row in measured.to_arrow().to_pylist()}
    return sorted({day for day, age in ages if newest and min((newest - day).days, FINAL_AGE_DAYS) != age})


def extras_of(catalog: Catalog, model: Model) -> dict[str, object]:
    """Return what transforms of the tables that models share are given besides their inputs."""
    return {"model": model, "newest_run_date": newest_date(catalog, CI_RUNS)}
