"""``cilake measure``: what happened after each prediction, how good it was, and who goes on serving."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.core.tests import TABLE as TESTS
from cilake.contracts.kpi.calibration_bins import TABLE as CALIBRATION_BINS
from cilake.contracts.kpi.daily_predictions import TABLE as DAILY_PREDICTIONS
from cilake.contracts.kpi.likely_failures import TABLE as LIKELY_FAILURES
from cilake.contracts.model import Table
from cilake.contracts.predictions.accuracy import TABLE as ACCURACY
from cilake.contracts.predictions.outcomes import TABLE as OUTCOMES
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.lake.catalog import open_catalog, set_properties
from cilake.lake.changes import built_from, changed_dates, mark_built
from cilake.lake.session import spark_session
from cilake.lake.snapshots import Pins, pin
from cilake.landing.incomplete import say_if_incomplete
from cilake.log import say
from cilake.models.champion import judge
from cilake.models.summaries import summaries
from cilake.models.test_failure import evaluate
from cilake.models.test_failure.spec import MODEL
from cilake.publish.audit import auditor
from cilake.publish.replace import Replacement, days_condition, replace_days, spans_condition
from cilake.publish.restatements import Restatement
from cilake.settings import Settings
from cilake.transforms.core.tests import leave_out_verdicts
from cilake.transforms.kpi import likely_failures
from cilake.transforms.predictions import outcomes
from cilake.windows import Window

MADE = (OUTCOMES, ACCURACY, LIKELY_FAILURES, DAILY_PREDICTIONS, CALIBRATION_BINS)
OF_MODEL = f"model_name = '{MODEL.name}'"
_WATCHED = {
    # A correction shows in the hash of a run's content, in when that was known or in what read it. A rebuild
    # notes the dates of the runs whose results it makes again.
    CI_RUNS: ("run_date", ("run_key", "content_hash", "decoder_version", "known_at")),
    # The ledger only grows, so the number of its rows by day and version tells what came.
    PREDICTIONS: ("prediction_date", ("model_version",)),
}
_MEASURED = pa.schema(
    [
        ("model_version", pa.string()),
        ("prediction_date", pa.date32()),
        ("abstain_ratio", pa.float64()),
        ("decided_count", pa.int64()),
        *evaluate.ACCURACY_SCHEMA,
    ]
)


def measure_test_failure(settings: Settings, window: Window) -> dict[str, int]:
    """Write outcomes and accuracy of every prediction whose outcome may have changed; judge the champion.

    What may have changed is what the runs and the ledger gained, lost or corrected since the tables were last
    made, however long ago the predictions were. The window only names the run in records.
    """
    catalog = open_catalog(settings)
    say_if_incomplete(catalog, window)
    with spark_session(settings, app_name=f"measure {MODEL.name} {window.start}") as spark:
        pins = pin(catalog, PREDICTIONS, CI_RUNS, TEST_RESULTS)
        counts = dict.fromkeys((table.address for table in MADE), 0)
        days = _days_to_measure(spark, catalog, pins)
        if days:
            say(f"{len(days)} days of predictions may have other outcomes: {days[0]} to {days[-1]}")
            run_id = f"measure_{MODEL.name}_{window.start}"
            audit = auditor(settings, catalog, day=window.start)
            replace = partial(replace_days, spark, catalog, audit=audit, run_id=run_id)
            counts |= _measure(spark, pins, days, replace, marks=_marks(pins))
        else:
            say("no prediction has another outcome")
            for table in MADE:
                set_properties(catalog, table, _marks(pins))
        judge(spark, catalog)
        return counts


def rebuild_measurements(
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    window: Window,
    restatement: Restatement,
    *,
    tables: Collection[Table] = MADE,
) -> None:
    """Make some of the tables about the predictions of the window's days again."""
    pins = pin(catalog, PREDICTIONS, CI_RUNS, TEST_RESULTS)
    days = _in_ledger(spark, pins, set(window.days))
    if not days:
        return
    audit = auditor(settings, catalog, day=window.start)
    run_id = f"rebuild_measure_{MODEL.name}_{window.start}"
    replace = partial(replace_days, spark, catalog, audit=audit, run_id=run_id, note=restatement.note)
    _measure(spark, pins, days, replace, tables=tables)


def _days_to_measure(spark: SparkSession, catalog: Catalog, pins: Pins) -> list[date]:
    """Return the days in the ledger of which one of the tables made here may say something else now."""
    changed: dict[tuple[str, int | None], set[date]] = {}
    for made in MADE:
        for source, (column, identity) in _WATCHED.items():
            until = pins.of(source)
            since = built_from(catalog, made, source, part=MODEL.name)
            if until is None or since == until or (source.address, since) in changed:
                continue
            changed[source.address, since] = set(
                changed_dates(catalog, source, column, identity=identity, since=since, until=until)
            )
    runs = {day for (address, _), days in changed.items() if address == CI_RUNS.address for day in days}
    scored = {day for (address, _), days in changed.items() if address == PREDICTIONS.address for day in days}
    affected = outcomes.affected_days(runs) | likely_failures.affected_days(runs) | scored
    return _in_ledger(spark, pins, affected)


def _in_ledger(spark: SparkSession, pins: Pins, days: set[date]) -> list[date]:
    """Return those of the days that have predictions, in order."""
    of_days = pins.read(spark, PREDICTIONS).where(spans_condition("prediction_date", days))
    return sorted(row[0] for row in of_days.select("prediction_date").distinct().collect())


def _measure(
    spark: SparkSession,
    pins: Pins,
    days: list[date],
    replace: Callable[[list[Replacement]], dict[str, int]],
    *,
    tables: Collection[Table] = MADE,
    marks: Mapping[str, str] | None = None,
) -> dict[str, int]:
    predictions = pins.read(spark, PREDICTIONS).where(days_condition("prediction_date", days))
    later = pins.read(spark, TEST_RESULTS).where(spans_condition("run_date", outcomes.outcome_dates(days)))
    results = leave_out_verdicts(later, spark.table(TESTS.identifier))

    def replacement(table: Table, rows: DataFrame) -> Replacement:
        return Replacement(table, rows, "prediction_date", days, where=OF_MODEL, properties=marks or {})

    counts: dict[str, int] = {}
    if OUTCOMES in tables:
        of_outcomes = outcomes.transform(predictions, results, model_name=MODEL.name)
        counts = replace([replacement(OUTCOMES, of_outcomes)])
    known = spark.table(OUTCOMES.identifier).where(
        f"{days_condition('prediction_date', days)} AND {OF_MODEL}"
    )
    newest = pins.read(spark, CI_RUNS).agg(F.max("run_date")).collect()[0][0]
    following = summaries(spark, pins, predictions, known, days, model_name=MODEL.name)
    following[ACCURACY] = _accuracy(known, predictions, newest)
    chosen = [replacement(table, rows) for table, rows in following.items() if table in tables]
    return counts | replace(chosen) if chosen else counts


def _marks(pins: Pins) -> dict[str, str]:
    marks: dict[str, str] = {}
    for source in _WATCHED:
        marks |= mark_built(source, pins.of(source), part=MODEL.name)
    return marks


def _accuracy(known: DataFrame, predictions: DataFrame, newest: date | None) -> DataFrame:
    """Return rows of ``predictions.accuracy``; one day's outcomes are measured by one worker."""
    made = predictions.groupBy("prediction_date", "model_version").agg(F.count("*").alias("made_count"))
    measured = known.groupBy("prediction_date", "model_version").applyInArrow(
        measure_day, from_arrow_schema(_MEASURED)
    )
    age = F.least(F.datediff(F.lit(newest), "prediction_date"), F.lit(outcomes.HORIZON_DAYS))
    return measured.join(made, ["prediction_date", "model_version"]).select(
        F.lit(MODEL.name).alias("model_name"),
        F.col("prediction_date"),
        F.col("model_version"),
        age.alias("outcome_age_days"),
        (F.col("decided_count") / F.col("made_count")).alias("decided_ratio"),
        F.col("abstain_ratio"),
        *evaluate.ACCURACY_SCHEMA.names,
    )


def measure_day(known: pa.Table) -> pa.Table:
    """Return the measures of each scorer on the outcomes of one day and version, abstentions left out."""
    # In one order, so that the same outcomes have the same sums to the last bit.
    answered = known.filter(pc.invert(known["has_abstained"])).sort_by(
        [("job_key", "ascending"), ("test_key", "ascending")]
    )
    if not answered.num_rows:
        return _MEASURED.empty_table()
    forecasts = {scorer: answered[column].to_numpy() for scorer, column in evaluate.SCORERS.items()}
    measures = evaluate.evaluate(forecasts, answered["has_failed"].to_numpy(zero_copy_only=False))
    head = {
        "model_version": answered["model_version"][0].as_py(),
        "prediction_date": answered["prediction_date"][0].as_py(),
        "abstain_ratio": 1 - answered.num_rows / known.num_rows,
        "decided_count": known.num_rows,
    }
    return pa.Table.from_pylist([head | row for row in measures.to_pylist()], schema=_MEASURED)
