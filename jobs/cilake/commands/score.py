"""``cilake score``: one prediction per active test of a job, once a night, never changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from cilake.contracts.columns import UNDECIDED
from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.contracts.core.test_results import TABLE as TEST_RESULTS
from cilake.contracts.predictions.test_failure import TABLE as PREDICTIONS
from cilake.lake.catalog import open_catalog
from cilake.lake.model_store import BASELINE
from cilake.lake.schema import conform
from cilake.lake.session import spark_session
from cilake.landing.incomplete import say_if_incomplete
from cilake.log import say
from cilake.models.as_of import INPUTS, bucket_of, pin_history, read_history
from cilake.models.landed import read_jobs_not_obtained, require_landed
from cilake.models.serving import load_model, serving
from cilake.models.test_failure import score, train
from cilake.models.test_failure.features import compute_features, pending_decisions
from cilake.models.test_failure.spec import FEATURES, MODEL
from cilake.publish.audit import auditor, prepare_audit
from cilake.publish.branch import Branch, open_branch, write_audit_publish
from cilake.settings import Settings
from cilake.windows import Window, day_start

SCORED = pa.schema(
    [field for field in score.PREDICTIONS_SCHEMA if field.name not in ("run_key", "started_at")]
)
SNAPSHOTS_KEPT = timedelta(days=90)
"""How long what a night was scored from can be read again; the contract of the ledger says so."""


def score_test_failure(settings: Settings, window: Window) -> dict[str, int]:
    """Add the predictions of each day of the window; return their number.

    A day that is in the ledger already is left as it is.

    Raises:
        DayError: when a day is later than the newest landed one; then no day of the window is scored.

    """
    say_if_incomplete(open_catalog(settings), window)
    written = 0
    with spark_session(settings, app_name=f"score {MODEL.name} {window.start}") as spark:
        require_landed(spark, window)
        for day in window.days:
            written += _score_day(spark, settings, day)
    return {PREDICTIONS.address: written}


def _score_day(spark: SparkSession, settings: Settings, day: date) -> int:
    ledger = spark.table(PREDICTIONS.identifier).where(F.col("prediction_date") == F.lit(day))
    if ledger.head(1):
        say(f"{day} is in the ledger already")
        return 0
    catalog = open_catalog(settings)
    pins = pin_history(catalog)
    results, of_runs = read_history(spark, pins, day)
    champion = serving(catalog, day)
    model = load_model(catalog, champion) if champion else None
    version = champion["model_version"] if champion and model else BASELINE
    model = model or _baseline(results)
    if model is None:
        say(f"{day}: nothing has run yet")
        return 0
    not_obtained = read_jobs_not_obtained(spark, catalog, pins, day)
    if not_obtained:
        say(f"{day}: abstains on {len(not_obtained):,} jobs whose tabs were not obtained; see ops.fetches")
    runs = of_runs.toArrow()
    decided_at = day_start(day + timedelta(days=1))
    scored = results.groupBy(bucket_of(runs).alias("bucket")).applyInArrow(
        _bucket_scorer(model, runs, decided_at, not_obtained), from_arrow_schema(SCORED)
    )
    rows = scored.select(
        "job_key",
        "test_key",
        F.lit(day).alias("prediction_date"),
        "failure_probability",
        "shrunken_probability",
        "base_rate_probability",
        "last_value_probability",
        F.nullif(F.array_join("top_reasons", "; "), F.lit("")).alias("top_reasons"),
        "abstain_reason",
        F.lit(version).alias("model_version"),
        F.lit(pins.of(TEST_RESULTS)).alias("feature_snapshot_id"),
        F.lit(pins.of(CI_RUNS)).alias("runs_snapshot_id"),
        F.lit(datetime.now(UTC)).alias("scored_at"),
    )
    run_id = f"score_{MODEL.name}_{day}"
    for table in INPUTS:
        pins.tag(catalog, table, run_id, keep=SNAPSHOTS_KEPT)

    def write(branch: Branch) -> None:
        branch.append(conform(rows, PREDICTIONS).coalesce(1))

    prepare_audit()
    audit = auditor(settings, catalog, day=day)
    write_audit_publish([open_branch(spark, catalog, PREDICTIONS, run_id)], write, audit)
    count = ledger.count()
    say(f"{day}: {count:,} predictions by {version}")
    return count


def _baseline(results: DataFrame) -> train.TrainedModel | None:
    """Return the shrunken history rate as a model, with the history's base rate; ``None`` without any."""
    finals = results.where(~F.col("test_status").isin(*UNDECIDED))
    count, failed, first, last = finals.agg(
        F.count("*"), F.count_if(F.col("test_status") == "failed"), F.min("started_at"), F.max("started_at")
    ).collect()[0]
    if not count:
        return None
    return train.TrainedModel(
        estimator=None,
        base_rate=failed / count,
        uneventful=(),
        feature_names=FEATURES,
        decision_count=count,
        failure_count=failed,
        trained_from=first.isoformat(),
        trained_until=last.isoformat(),
    )


def _bucket_scorer(
    model: train.TrainedModel, runs: pa.Table, decided_at: datetime, not_obtained: frozenset[int]
) -> Callable[[pa.Table], pa.Table]:
    """Return a function from all results of some tests to the predictions for their active entities."""
    artifact, digest = train.to_bytes(model)
    loaded: list[train.TrainedModel] = []

    def score_bucket(results: pa.Table) -> pa.Table:
        if not loaded:
            loaded.append(train.from_bytes(artifact, digest))
        pending = pending_decisions(results, decided_at)
        known = results.select(pending.column_names).cast(pending.schema)
        decisions = compute_features(pa.concat_tables([known, pending]), runs, only_pending=True)
        return score.predict(loaded[0], decisions, not_obtained=not_obtained).select(SCORED.names)

    return score_bucket
