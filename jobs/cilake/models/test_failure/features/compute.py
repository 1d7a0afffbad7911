"""The features of a decision, as of the moment it is taken: one function for training and scoring.

A decision row sees only results that started strictly before it, in whatever job.  Everything is counted
with prefix sums over sorted results, so the cost grows with the number of results, not with the windows.
All results of one test must be in the same call; tests may be split over calls in any way.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cilake.contracts.vocabulary.ci import RUNNING, UNDECIDED
from cilake.models.test_failure.features.elsewhere import elsewhere_features
from cilake.models.test_failure.features.history import Decisions, order_results
from cilake.models.test_failure.features.job_health import job_features, run_fail_ratio
from cilake.models.test_failure.features.own_history import own_features
from cilake.models.test_failure.labels import LABEL, has_failed, status_codes
from cilake.models.test_failure.spec import ACTIVE_DAYS, FEATURES

TIMESTAMP = pa.timestamp("us", tz="UTC")

#: Larger calls are worked off in blocks of whole tests: it bounds the memory and stays in the caches.
ROWS_PER_BLOCK = 700_000
MIX = 0x9E3779B97F4A7C15

KEYS = pa.schema(
    [
        ("run_key", pa.int64()),
        ("job_key", pa.int64()),
        ("test_key", pa.int64()),
        ("started_at", TIMESTAMP),
    ]
)

#: The columns ``compute_features`` reads.
RESULTS_SCHEMA = KEYS.append(pa.field("test_status", pa.string()))
RUNS_SCHEMA = pa.schema(
    [
        ("run_key", pa.int64()),
        ("job_key", pa.int64()),
        ("started_at", TIMESTAMP),
        ("passed_count", pa.int64()),
        ("failed_count", pa.int64()),
        ("flaky_count", pa.int64()),
    ]
)

#: The columns ``compute_features`` returns.
FEATURES_SCHEMA = pa.schema(
    [*KEYS, LABEL, *(pa.field(name, pa.float32()) for name in FEATURES)],
)


def compute_features(results: pa.Table, runs: pa.Table, *, only_pending: bool = False) -> pa.Table:
    """Return one row per decision: keys, label and features; the rows of a test are together, in order.

    ``results`` may hold pending rows (``test_status`` null): they get features as of their
    ``started_at`` and a null label.  Tests that run still or were skipped are neither decisions nor
    history, and an entity's first result is no decision because nothing is known before it.  With
    ``only_pending`` the final results are history alone: the same rows for the pending ones, for a fraction
    of the work.
    """
    _require(results, RESULTS_SCHEMA, "results")
    _require(runs, RUNS_SCHEMA, "runs")
    blocks = -(-len(results) // ROWS_PER_BLOCK)
    if blocks <= 1:
        return _compute(results, runs, only_pending=only_pending)
    block_of_row = _int64(results, "test_key").astype(np.uint64) * np.uint64(MIX) >> np.uint64(32)
    block_of_row %= np.uint64(blocks)
    rows_of_block = (pa.array(np.flatnonzero(block_of_row == i)) for i in range(blocks))
    results = results.combine_chunks()
    return pa.concat_tables(
        [_compute(results.take(rows), runs, only_pending=only_pending) for rows in rows_of_block]
    )


def _compute(results: pa.Table, runs: pa.Table, *, only_pending: bool) -> pa.Table:
    history, decisions = order_results(
        run_key=_int64(results, "run_key"),
        job_key=_int64(results, "job_key"),
        test_key=_int64(results, "test_key"),
        started_us=_microseconds(results),
        code=status_codes(results.column("test_status")),
        fail_ratio_of_run=run_fail_ratio(runs),
        only_pending=only_pending,
    )
    columns: dict[str, np.ndarray] = {}
    columns.update(own_features(history, decisions))
    columns.update(elsewhere_features(history, decisions))
    columns.update(job_features(runs, history, decisions))
    return _assemble(results, decisions, columns)


def pending_decisions(results: pa.Table, at: datetime) -> pa.Table:
    """Return one pending row per job x test with a result in the ``ACTIVE_DAYS`` before ``at``.

    A test that was skipped when the job ran it last has none: most likely it is skipped again, and what
    failed long before says nothing about that.
    """
    if at.tzinfo is None:
        raise ValueError("the decision time must carry a time zone")
    moment = pa.scalar(at, TIMESTAMP)
    since = pa.scalar(at - timedelta(days=ACTIVE_DAYS), TIMESTAMP)
    started = results.column("started_at").cast(TIMESTAMP)
    status = results.column("test_status")
    if pa.types.is_dictionary(status.type):
        status = status.cast(pa.string())
    has_ended = pc.and_(pc.is_valid(status), pc.not_equal(status, RUNNING))
    is_recent = pc.and_(pc.greater_equal(started, since), pc.less(started, moment))
    ended = pa.table(
        {
            "job_key": results["job_key"],
            "test_key": results["test_key"],
            "ended": started,
            "decided": pc.if_else(pc.is_in(status, pa.array(UNDECIDED)), pa.scalar(None, TIMESTAMP), started),
        }
    ).filter(pc.and_(is_recent, has_ended))
    newest = ended.group_by(["job_key", "test_key"]).aggregate([("ended", "max"), ("decided", "max")])
    entities = newest.filter(pc.equal(newest["ended_max"], newest["decided_max"]))
    entities = entities.sort_by([("test_key", "ascending"), ("job_key", "ascending")])
    count = len(entities)
    return pa.table(
        {
            "run_key": pa.nulls(count, pa.int64()),
            "job_key": entities.column("job_key"),
            "test_key": entities.column("test_key"),
            "started_at": pa.repeat(moment, count),
            "test_status": pa.nulls(count, pa.string()),
        },
        schema=RESULTS_SCHEMA,
    )


def _require(table: pa.Table, schema: pa.Schema, what: str) -> None:
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ValueError(f"{what} lacks the columns {', '.join(missing)}")
    for name in schema.names:
        if name not in ("run_key", "test_status") and table.column(name).null_count:
            raise ValueError(f"{what}.{name} holds nulls")


def _int64(table: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = pc.fill_null(table.column(name).cast(pa.int64()), 0).to_numpy()
    return values


def _microseconds(table: pa.Table) -> np.ndarray:
    values: np.ndarray = table.column("started_at").cast(TIMESTAMP).cast(pa.int64()).to_numpy()
    return values


def _assemble(results: pa.Table, decisions: Decisions, columns: dict[str, np.ndarray]) -> pa.Table:
    rows = pa.array(decisions.row)
    arrays: list[pa.Array | pa.ChunkedArray] = [
        results.column(field.name).cast(field.type).take(rows) for field in KEYS
    ]
    arrays.append(has_failed(decisions.code))
    for name in FEATURES:
        # Popping frees each float column as soon as Arrow holds it.
        values = columns.pop(name)
        arrays.append(pa.array(values.astype(np.float32, copy=False)))
    return pa.Table.from_arrays(arrays, schema=FEATURES_SCHEMA)
