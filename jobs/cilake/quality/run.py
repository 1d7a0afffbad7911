"""The check of a batch before it is published, in Spark or, where it is small enough to be here, without.

First one cheap pass checks only which rules hold; the failed ones run again with samples. Great Expectations
turns all row rules of a pass into one aggregate, so a pass costs about one scan of the columns used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from cilake.contracts import registry
from cilake.contracts.model import Table
from cilake.quality import arrow_batch, suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    Batch: TypeAlias = DataFrame | pa.Table

EXAMPLES = 5
_TEXT_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that did not hold, with what a person needs to act on it."""

    expectation_id: str
    expectation_type: str
    severity: str
    reason: str
    rule: dict[str, Any]
    observed: dict[str, Any]
    examples: list[dict[str, Any]]
    advice: str


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one check; ``results`` are rows of ``ops.validation_results``."""

    table_address: str
    validation_id: str
    partition_date: date
    row_count: int
    results: list[dict[str, Any]] = field(repr=False)
    failures: list[Failure]

    @property
    def was_successful(self) -> bool:
        """True when no critical rule failed: the batch may be published."""
        return not any(failure.severity == "critical" for failure in self.failures)


def validate(
    table: Table | str,
    batch: Batch,
    *,
    validation_id: str,
    partition_date: date,
    row_count: int | None = None,
) -> Report:
    """Return the report on ``batch`` against the suite of ``table``; nothing is written.

    Args:
        table: the contract or its address.
        batch: the rows about to be published; read several times, so not an expensive plan.
        validation_id: the id of this check, another for every try of a build.
        partition_date: the day the build is for.
        row_count: the number of rows where it is known; else they are counted.

    """
    contract = registry.table(table) if isinstance(table, str) else table
    entries = suite.read(contract)
    outcomes = check(contract, batch, entries)
    if row_count is None:
        row_count = batch.num_rows if isinstance(batch, pa.Table) else batch.count()
    validated_at = datetime.now(UTC)
    failures = []
    results = []
    for entry in entries:
        failure = outcomes[entry["id"]]
        if failure:
            failures.append(failure)
        results.append(
            {
                "validation_id": validation_id,
                "table_address": contract.address,
                "expectation_id": entry["id"],
                "expectation_type": entry["type"],
                "severity": entry["severity"],
                "was_successful": failure is None,
                "observed": json.dumps(failure.observed, ensure_ascii=False) if failure else None,
                "partition_date": partition_date,
                "row_count": row_count,
                "validated_at": validated_at,
            }
        )
    failures.sort(key=lambda failure: suite.SEVERITIES.index(failure.severity))
    return Report(contract.address, validation_id, partition_date, row_count, results, failures)


def check(table: Table, batch: Batch, entries: list[suite.Entry]) -> dict[str, Failure | None]:
    """Return the failure per rule id, ``None`` where the rule holds."""
    with _opened(table, batch) as opened:
        verdicts = _run(opened, table, entries, "BOOLEAN_ONLY")
        failed = [entry for entry in entries if not verdicts[entry["id"]].success]
        details = _show(opened, table, failed, batch) if failed else {}
        failures = {entry["id"]: _failure(table, entry, details[entry["id"]], batch) for entry in failed}
    return {entry["id"]: failures.get(entry["id"]) for entry in entries}


def _show(opened: Any, table: Table, failed: list[suite.Entry], batch: Batch) -> dict[str, Any]:
    """Run rules that failed again, with samples of the rows that break them."""
    # Query rules give their rows only in the COMPLETE format, where GX caps them; for row rules that format
    # would collect every bad row.
    queries = [entry for entry in failed if entry["type"] == suite.NO_ROWS]
    others = [entry for entry in failed if entry["type"] != suite.NO_ROWS]
    shown = {
        *table.primary_key,
        *(name for entry in others for name in entry["kwargs"].get("column_list", [])),
    }
    samples: dict[str, Any] = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES}
    if not isinstance(batch, pa.Table):  # with pandas GX collects every bad row for this
        samples["unexpected_index_column_names"] = [name for name in batch.columns if name in shown]
    return _run(opened, table, queries, "COMPLETE") | _run(opened, table, others, samples)


@cache
def _context() -> Any:
    """Return a Great Expectations context that lives in memory only and reports to nobody."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context


@contextmanager
def _opened(table: Table, batch: Batch) -> Iterator[Any]:
    """Yield the batch as Great Expectations reads it, by pandas or by Spark."""
    sources = _context().data_sources
    if isinstance(batch, pa.Table):
        with arrow_batch.opened(batch) as frame:
            yield _as_gx(sources.add_or_update_pandas(name="rows"), table, frame)
    else:
        # Without persist=False GX caches every column of the batch, which costs more than all the rules.
        yield _as_gx(sources.add_or_update_spark(name="lake", persist=False), table, batch)


def _as_gx(source: Any, table: Table, frame: Any) -> Any:
    asset = source.add_dataframe_asset(name=table.address)
    return asset.add_batch_definition_whole_dataframe("batch").get_batch({"dataframe": frame})


def _run(source: Any, table: Table, entries: list[suite.Entry], result_format: Any) -> dict[str, Any]:
    if not entries:
        return {}
    result = source.validate(suite.build(table.address, entries), result_format=result_format)
    return {one.expectation_config.id: one for one in result.results}


def _failure(table: Table, entry: suite.Entry, outcome: Any, batch: Batch) -> Failure:
    result = outcome.result or {}
    error = _error(outcome.exception_info)
    shown = _shown(table, entry)
    if isinstance(batch, pa.Table) and not error and entry["type"] != suite.NO_ROWS:
        names = [name for name in batch.column_names if name in shown]
        found = arrow_batch.find_examples(batch, entry, names, EXAMPLES)
        examples = [{name: _plain(value) for name, value in row.items()} for row in found]
    else:
        examples = _examples(result, shown)
    observed = {
        name: _plain(result[name])
        for name in ("observed_value", "element_count", "unexpected_count", "unexpected_percent")
        if result.get(name) is not None
    }
    if error:
        observed["error"] = error
    meta = entry.get("meta", {})
    return Failure(
        expectation_id=entry["id"],
        expectation_type=entry["type"],
        severity=entry["severity"],
        reason=entry["notes"],
        rule=entry["kwargs"],
        observed=observed,
        examples=examples,
        advice=meta.get("what_to_do") or _ADVICE[entry["severity"]],
    )


_ADVICE = {
    "critical": "Nothing was published; the table still shows its last good state. Look up the example rows "
    "in the inputs, correct the transform or the source, and clear this task to run it again.",
    "warning": "The batch was published. Look at the example rows before relying on the affected days.",
    "info": "The batch was published. No action is needed unless this repeats.",
}


def _error(info: Any) -> str | None:
    """Return what went wrong when a rule could not be evaluated at all, without its stack trace."""
    if not info:
        return None
    if info.get("raised_exception"):
        return str(_plain(info.get("exception_message")))
    messages = [one["exception_message"] for one in info.values() if isinstance(one, dict)]
    return str(_plain("; ".join(messages))) if messages else None


def _shown(table: Table, entry: suite.Entry) -> set[str]:
    """Return the columns that explain a failure: the key and what the rule reads."""
    kwargs = entry["kwargs"]
    return {*table.primary_key, *kwargs.get("column_list", []), kwargs.get("column", "")}


def _examples(result: dict[str, Any], shown: set[str]) -> list[dict[str, Any]]:
    # All failed rules are sampled in one run, so a sample also has the columns of the others. Queries
    # choose their own columns.
    keyed = result.get("partial_unexpected_index_list")
    if keyed:
        return [
            {name: _plain(value) for name, value in row.items() if name in shown} for row in keyed[:EXAMPLES]
        ]
    rows = (result.get("details") or {}).get("unexpected_rows") or result.get("partial_unexpected_list") or []
    return [
        {name: _plain(value) for name, value in row.items()}
        if isinstance(row, dict)
        else {"value": _plain(row)}
        for row in rows[:EXAMPLES]
    ]


def _plain(value: Any) -> Any:
    """Return a JSON value of bounded size: batches hold hostile text of any length."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value[:50]]
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _TEXT_LIMIT else f"{text[:_TEXT_LIMIT]}…"
