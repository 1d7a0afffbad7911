"""Every hand-written rule fails on its bad sample, and no rule fails on a good one."""

from __future__ import annotations

from datetime import date

import pytest
from tests.quality.samples import ALIKE, BAD, GOOD
from tests.support.builders import make_frame, make_row

from cilake.contracts import registry
from cilake.quality import row_rules, run, suite

HAND_WRITTEN = [
    (table.address, entry["id"])
    for table in suite.audited_tables().values()
    for entry in suite.read(table)
    if not suite.is_generated(entry)
]


def test_every_hand_written_rule_has_a_failing_sample() -> None:
    assert sorted(HAND_WRITTEN) == sorted((address, name) for address, rules in BAD.items() for name in rules)


@pytest.mark.spark
@pytest.mark.parametrize(("address", "name"), HAND_WRITTEN)
def test_rule_fails_on_its_bad_sample(spark, address, name) -> None:
    table = registry.table(address)
    entry = next(entry for entry in suite.read(table) if entry["id"] == name)
    rows = [make_row(table, **(GOOD.get(address, {}) | changes)) for changes in BAD[address][name]]
    failure = run.check(table, make_frame(spark, table, rows), [entry])[name]
    assert failure is not None, f"{name} holds on {rows}"
    assert "error" not in failure.observed
    assert failure.examples
    assert failure.reason == entry["notes"]


@pytest.mark.spark
@pytest.mark.parametrize("address", ALIKE)
def test_rows_that_only_look_alike_break_no_rule(spark, address) -> None:
    table = registry.table(address)
    rows = [make_row(table, **(GOOD.get(address, {}) | changes)) for changes in ALIKE[address]]
    assert set(run.check(table, make_frame(spark, table, rows), suite.read(table)).values()) == {None}


ROW_RULES = [
    (table.address, entry["id"])
    for table in suite.audited_tables().values()
    for entry in suite.read(table)
    if row_rules.is_row_rule(entry) and entry["severity"] == "critical"
]


@pytest.mark.spark
def test_what_breaks_a_row_rule_is_found_by_its_condition_too(spark) -> None:
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
    frame = make_frame(spark, runs, [*rows, make_row(runs, run_key=99)])
    found = {row["run_key"]: row["broken_rule"] for row in row_rules.find_broken(runs, frame).collect()}
    assert set(found) == set(range(len(broken)))
    assert set(broken) - {"counts_add_up", "result_count_in_range"} <= set(found.values())
    assert {("core.ci_runs", rule) for rule in found.values()} <= set(ROW_RULES)


@pytest.mark.spark
@pytest.mark.parametrize("address", suite.audited_tables())
def test_good_row_passes_every_rule(spark, address) -> None:
    table = registry.table(address)
    batch = make_frame(spark, table, [make_row(table, **GOOD.get(address, {}))])
    report = run.validate(address, batch, validation_id="v1", partition_date=date(2021, 6, 21))
    assert report.failures == []
    assert report.was_successful
    assert report.row_count == 1
    assert [row["expectation_id"] for row in report.results] == [entry["id"] for entry in suite.read(table)]


@pytest.mark.spark
@pytest.mark.parametrize("address", suite.audited_tables())
def test_empty_batch_fails_no_critical_rule(spark, address) -> None:
    report = run.validate(
        address, make_frame(spark, address, []), validation_id="v1", partition_date=date(2021, 6, 21)
    )
    assert report.was_successful
    assert {failure.expectation_id for failure in report.failures} <= {"not_empty"}
