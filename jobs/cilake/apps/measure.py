"""``cilake measure``: what happened after each prediction, and how good the predictions were."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from cilake.apps.audit import auditor
from cilake.apps.progress import say
from cilake.apps.replace import Replacement, days_condition, replace_days
from cilake.apps.summaries import summaries
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.predictions.accuracy import TABLE as ACCURACY
from cilake.contracts.predictions.outcomes import TABLE as OUTCOMES
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.lake.catalog import arrow_schema, open_catalog
from cilake.lake.session import spark_session
from cilake.models.test_failure import evaluate
from cilake.models.test_failure.spec import MODEL
from cilake.settings import Settings
from cilake.transforms.core.tests import leave_out_verdicts
from cilake.transforms.predictions import outcomes
from cilake.windows import Window

SCORERS = {
    evaluate.MODEL_SCORER: "failure_probability",
    "shrunken_history": "shrunken_probability",
    "base_rate": "base_rate_probability",
    "last_value": "last_value_probability",
}


def measure_test_failure(settings: Settings, window: Window) -> dict[str, int]:
    """The outcomes and accuracy rows written for predictions that the window's landings may have decided."""
    with spark_session(settings, app_name=f"measure {MODEL.name} {window.start}") as spark:
        first = window.start - timedelta(days=outcomes.HORIZON_DAYS)
        in_reach = (F.col("prediction_date") >= F.lit(first)) & (F.col("prediction_date") < F.lit(window.end))
        predictions = spark.table(PREDICTIONS.identifier).where(in_reach)
        days = [row[0] for row in predictions.select("prediction_date").distinct().collect()]
        if not days:
            say("no prediction to measure yet")
            return {OUTCOMES.address: 0, ACCURACY.address: 0}
        later = spark.table(TEST_RESULTS.identifier).where(F.col("run_date") > F.lit(min(days)))
        results = leave_out_verdicts(later, spark.table(TESTS.identifier))
        run_id = f"measure_{window.start}"
        catalog = open_catalog(settings)
        audit = auditor(settings, catalog, validation_id=run_id, day=window.start)
        replace = partial(replace_days, spark, catalog, audit=audit, run_id=run_id)
        of_outcomes = outcomes.transform(predictions, results, model_name=MODEL.name)
        counts = replace([Replacement(OUTCOMES, of_outcomes, "prediction_date", days)])
        following = summaries(spark, days)
        if accuracy := _measure(spark, days_condition("prediction_date", days)):
            following.append(Replacement(ACCURACY, accuracy, "prediction_date", days))
        return {ACCURACY.address: 0} | counts | replace(following)


def _measure(spark: SparkSession, scope: str) -> Any:
    known = spark.table(OUTCOMES.identifier).where(scope).toArrow()
    rows: list[dict[str, object]] = []
    for day, version in sorted(
        set(zip(known["prediction_date"].to_pylist(), known["model_version"].to_pylist(), strict=True))
    ):
        rows += _accuracy_rows(known, day, version)
    return spark.createDataFrame(pa.Table.from_pylist(rows, schema=arrow_schema(ACCURACY))) if rows else None


def _accuracy_rows(known: pa.Table, day: date, version: str) -> list[dict[str, object]]:
    of_day = known.filter(
        pc.and_(pc.equal(known["prediction_date"], day), pc.equal(known["model_version"], version))
    )
    answered = of_day.filter(pc.invert(of_day["has_abstained"]))
    if not answered.num_rows:
        return []
    forecasts = {scorer: answered[column].to_numpy() for scorer, column in SCORERS.items()}
    measured = evaluate.evaluate(forecasts, answered["has_failed"].to_numpy(zero_copy_only=False))
    head = {
        "model_name": MODEL.name,
        "model_version": version,
        "prediction_date": day,
        "abstain_ratio": 1 - answered.num_rows / of_day.num_rows,
    }
    columns = (
        "scorer",
        "decision_count",
        "failure_count",
        "brier",
        "log_loss",
        "average_precision",
        "calibration_error",
    )
    return [head | {name: row[name] for name in columns} for row in measured.to_pylist()]
