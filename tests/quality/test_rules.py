"""Every hand-written rule fails on its bad sample, and no rule fails on a good one."""

from __future__ import annotations

from datetime import date

import pytest
from tests.builders import make_frame, make_row
from tests.quality.samples import BAD, GOOD

from cilake.contracts import registry
from cilake.quality import run, suite

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
