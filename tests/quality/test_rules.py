"""Every hand-written rule fails on its bad sample, no rule on a good one, both engines read them alike."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pyspark.sql import functions as F
from tests.quality.samples import ALIKE, BAD, GOOD
from tests.support.builders import make_frame, make_row, make_rows

from cilake.contracts import registry
from cilake.quality import arrow_batch, row_rules, run, suite
from cilake.transforms.engines import DuckEngine, SparkEngine

HAND_WRITTEN = [
    (table.address, entry["id"])
    for table in suite.audited_tables().values()
    for entry in suite.read(table)
    if not suite.is_generated(entry)
]


def test_every_hand_written_rule_has_a_failing_sample() -> None:
    assert sorted(HAND_WRITTEN) == sorted((address, name) for address, rules in BAD.items() for name in rules)


@pytest.mark.parametrize(("address", "name"), HAND_WRITTEN)
def test_rule_fails_on_its_bad_sample(address, name) -> None:
    table = registry.table(address)
    entry = next(entry for entry in suite.read(table) if entry["id"] == name)
    rows = [make_row(table, **(GOOD.get(address, {}) | changes)) for changes in BAD[address][name]]
    failure = run.check(table, make_rows(table, rows), [entry])[name]
    assert failure is not None, f"{name} holds on {rows}"
    assert "error" not in failure.observed
    assert failure.examples
    assert failure.reason == entry["notes"]


@pytest.mark.parametrize("address", ALIKE)
def test_rows_that_only_look_alike_break_no_rule(address) -> None:
    table = registry.table(address)
    rows = [make_row(table, **(GOOD.get(address, {}) | changes)) for changes in ALIKE[address]]
    assert set(run.check(table, make_rows(table, rows), suite.read(table)).values()) == {None}


ROW_RULES = [
    (table.address, entry["id"])
    for table in suite.audited_tables().values()
    for entry in suite.read(table)
    if row_rules.is_row_rule(entry) and entry["severity"] == "critical"
]


@pytest.mark.parametrize("name", ["DuckDB", pytest.param("Spark", marks=pytest.mark.spark)])
def test_what_breaks_a_row_rule_is_found_by_its_condition_too(name, request) -> None:
    """The rows that Great Expectations counts are the rows that are set aside, and no good row is."""
    runs = registry.table("core.ci_runs")
    broken = {
        "counts_add_up": {"test_count": 1, "passed_count": 1, "failed_count": 1},
        "run_date_is_start_day": {"started_at": "2021-06-21T23:59:59Z", "run_date": "2021-06-22"},
        "build_id_not_blank": {"build_id": " "},
        "result_allowed": {"result": "nosuch"},
        "result_count_in_range": {"result_count": -1},
    }
    rows = [make_row(runs, run_key=n, **changes) for n, changes in enumerate(broken.values())]
    engine: Any = DuckEngine() if name == "DuckDB" else SparkEngine(request.getfixturevalue("spark"))
    checked = engine.from_arrow(make_rows(runs, [*rows, make_row(runs, run_key=99)]))
    marked = engine.to_arrow(
        engine.sql(row_rules.select_broken(suite.read(runs)), checked=checked)
    ).to_pylist()
    found = {row["run_key"]: row["broken_rule"] for row in marked}
    assert set(found) == set(range(len(broken)))
    assert set(broken) - {"counts_add_up", "result_count_in_range"} <= set(found.values())
    assert {("core.ci_runs", rule) for rule in found.values()} <= set(ROW_RULES)


@pytest.mark.parametrize("address", suite.audited_tables())
def test_good_row_passes_every_rule(address) -> None:
    table = registry.table(address)
    batch = make_rows(table, [make_row(table, **GOOD.get(address, {}))])
    report = run.validate(address, batch, validation_id="v1", partition_date=date(2021, 6, 21))
    assert report.failures == []


def samples_of(table):
    """All samples of the table, a good row, and good rows with a null or with what is no number."""
    good = make_row(table, **GOOD.get(table.address, {}))
    bad = [row for rows in BAD.get(table.address, {}).values() for row in rows] + ALIKE.get(table.address, [])
    nulls = [{column.name: None} for column in table.columns]
    odd = [{column.name: float("nan")} for column in table.columns if column.type == "double"]
    changes = [GOOD.get(table.address, {}) | one for one in (*bad, *nulls, *odd)]
    return [good, *(make_row(table, **one) for one in changes)]


@pytest.mark.spark
@pytest.mark.parametrize("address", suite.audited_tables())
def test_spark_and_duckdb_read_rules_alike(spark, address) -> None:
    table = registry.table(address)
    rows = samples_of(table)
    frame = make_frame(spark, table, rows)
    rules = [rule["kwargs"] for rule in suite.read(table)]
    conditions = [rule["condition"] for rule in rules if "condition" in rule]
    queries = [rule["unexpected_rows_query"] for rule in rules if "unexpected_rows_query" in rule]
    held = frame.select(*(F.coalesce(F.expr(one), F.lit(True)) for one in conditions)).collect()
    frame.createOrReplaceTempView("samples")
    found = [spark.sql(one.format(batch="samples")).toArrow().to_pylist() for one in queries]
    with arrow_batch.opened(make_rows(table, rows)):
        for number, condition in enumerate(conditions):
            assert list(arrow_batch.hold(condition)) == [row[number] for row in held], condition
        for query, of_spark in zip(queries, found, strict=True):
            here = arrow_batch.select(query.format(batch="batch"))
            assert sorted(here, key=repr) == sorted(of_spark, key=repr), query


@pytest.mark.spark
def test_spark_and_pandas_judge_columns_alike(spark) -> None:
    """Also values that are no number, which pandas takes for null and Spark ranks above all others."""
    table = registry.table("predictions.test_failure")
    rows, rules = samples_of(table), suite.read(table)
    batches = (make_frame(spark, table, rows), make_rows(table, rows))
    checks = [run.check(table, batch, rules) for batch in batches]
    in_spark, here = ({rule: one and one.observed for rule, one in found.items()} for found in checks)
    assert here == in_spark
    assert here["base_rate_probability_in_range"]["unexpected_count"] == 1
