"""``cilake score``: a model's predictions, once a night, never changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
from pyspark.sql import SparkSession

from cilake.contracts.model_spec import Model
from cilake.contracts.registry import table as contract
from cilake.lake.catalog import create_missing, open_catalog
from cilake.lake.changes import held_dates
from cilake.lake.literals import quoted
from cilake.lake.model_store import BASELINE
from cilake.lake.session import spark_session
from cilake.lake.snapshots import snapshot_id
from cilake.landing.incomplete import log_if_incomplete
from cilake.log import logger
from cilake.models.as_of import pin_history, read_history
from cilake.models.landed import require_built, require_landed
from cilake.models.registry import forecaster
from cilake.models.serving import load_model, serving
from cilake.publish.audit import auditor, preload_great_expectations
from cilake.publish.branch import Branch, open_branch, write_audit_publish
from cilake.publish.few import in_spark, is_few, take_few
from cilake.settings import Settings
from cilake.windows import Window

SNAPSHOTS_KEPT = timedelta(days=90)
"""How long what a night was scored from can be read again; the contracts of ledgers say so."""


def score(settings: Settings, window: Window, *, model: Model) -> dict[str, int]:
    """Add the predictions of each day of the window; return their number.

    A day that is in the ledger already is left as it is.

    Raises:
        DayError: when a day was not landed, or what was landed is not built; then no day of the window is
            scored.

    """
    catalog = open_catalog(settings)
    create_missing(catalog, [contract(model.ledger)])
    log_if_incomplete(catalog, window)
    written = 0
    require_landed(catalog, window)
    require_built(catalog, window.end - timedelta(days=1))
    with spark_session(settings, app_name=f"score {model.name} {window.start}") as spark:
        for day in window.days:
            written += _score_day(spark, settings, model, day)
    return {model.ledger: written}


def _score_day(spark: SparkSession, settings: Settings, model: Model, day: date) -> int:
    ledger_table = contract(model.ledger)
    catalog = open_catalog(settings)
    looked_at = snapshot_id(catalog, ledger_table)
    if held_dates(catalog, ledger_table, "prediction_date", [day]):
        logger.info(f"{day}: in the ledger already")
        return 0
    pins = pin_history(catalog, model.inputs)
    champion = serving(catalog, model, day)
    fitted = load_model(catalog, champion) if champion else None
    version = champion["model_version"] if champion and fitted else BASELINE
    history = read_history(spark, catalog, pins, day)
    predictions = forecaster(model.name).predict_day(spark, catalog, pins, history, fitted)
    if predictions is None:
        logger.info(f"{day}: no test has run yet")
        return 0
    now = int(datetime.now(UTC).timestamp() * 1e6)
    marked = f"SELECT *, {quoted(version)} AS model_version, timestamp_micros({now}) AS scored_at FROM made"  # noqa: S608
    rows = history.engine.sql(marked, made=predictions)
    run_id = f"score_{model.name}_{day}"
    for address in model.inputs:
        pins.tag(catalog, contract(address), run_id, keep=SNAPSHOTS_KEPT)

    preload_great_expectations()
    if not (isinstance(rows, pa.Table) and is_few(rows.num_rows)):
        rows = in_spark(spark, rows, ledger_table).persist()
    few = take_few(rows, ledger_table)
    count: int = rows.count() if few is None else few.num_rows

    def write(branch: Branch) -> None:
        branch.require_base(looked_at)  # another process may score the same day
        branch.append(rows.coalesce(1) if few is None else few)

    audit = auditor(settings, catalog, day=day)
    branch = open_branch(spark, catalog, ledger_table, run_id)
    write_audit_publish([branch], write, audit)
    if not isinstance(rows, pa.Table):
        rows.unpersist()
    logger.info(f"{day}: {count:,} predictions by {version}")
    return count
