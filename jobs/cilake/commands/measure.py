"""``cilake measure``: what happened after each prediction, how good it was, and who goes on serving."""

from __future__ import annotations

from pyiceberg.catalog import Catalog

from cilake.build.tables import build_tables
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.model_spec import Model
from cilake.lake.catalog import newest_date, open_catalog
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
    counts = build_tables(settings, window, step=step, told=told_of(catalog, model))
    if find_judged(catalog, model):
        with spark_session(settings, app_name=f"judge {model.name}") as spark:
            judge(spark, catalog, model)
    return counts


def told_of(catalog: Catalog, model: Model) -> dict[str, object]:
    """Return what transforms of the tables that models share are told beside their inputs."""
    return {"model": model, "newest_run_date": newest_date(catalog, CI_RUNS)}
