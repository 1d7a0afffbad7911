from __future__ import annotations

import math
from datetime import date, datetime
from functools import partial

import pyarrow as pa
import pytest
from tests.support.builders import make_frame, make_row, make_rows

from cilake.contracts import registry
from cilake.lake.catalog import arrow_schema
from cilake.lake.records import check
from cilake.quality import report, run

DAY = date(2021, 6, 21)


@pytest.fixture(params=["spark", "pandas"])
def make_batch(request):
    """A function from the rows of a table to a batch, for each engine that checks one."""
    if request.param == "pandas":
        return make_rows
    return partial(make_frame, request.getfixturevalue("spark"))


def _validate(batch, address="core.test_results"):
    return run.validate(address, batch, validation_id="build-1", partition_date=DAY)


def test_results_are_rows_of_validation_results(make_batch) -> None:
    found = _validate(make_batch("core.tests", [make_row("core.tests", test_name=" ")]), "core.tests")
    table = registry.table("ops.validation_results")
    assert all(list(row) == table.column_names for row in found.results)
    assert all(isinstance(row["validated_at"], datetime) for row in found.results)
    check(table, pa.Table.from_pylist(found.results, schema=arrow_schema(table)))
    assert found.was_successful, "a warning does not block"


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        ({"run_key": None}, "run_key_not_null"),
        ({"test_status": "exploded"}, "test_status_allowed"),
    ],
)
def test_broken_contract_blocks_and_shows_the_key(make_batch, overrides, rule) -> None:
    rows = [make_row("core.test_results"), make_row("core.test_results", test_key=99, **overrides)]
    found = _validate(make_batch("core.test_results", rows))
    assert not found.was_successful
    failure = found.failures[0]
    assert failure.expectation_id == rule
    assert failure.observed["unexpected_count"] == 1
    assert failure.examples[0]["test_key"] == 99


def test_examples_are_the_values_themselves(make_batch) -> None:
    """Also next to nulls, which would make large keys inexact, of many bad rows, and of what is no number."""
    address = "kpi.daily_job_health"
    odd = [None, 1234567890123456789, *range(20_000)]
    rows = [make_row(address, job_key=key, run_count=-1, pass_ratio=float("nan")) for key in odd]
    failures = {one.expectation_id: one for one in _validate(make_batch(address, rows), address).failures}
    examples = failures["run_count_in_range"].examples
    assert len(examples) == run.EXAMPLES
    assert examples[1]["job_key"] == 1234567890123456789
    assert examples[0]["job_key"] is None and examples[0]["run_count"] == -1
    assert failures["run_count_in_range"].observed["unexpected_count"] == len(rows)
    assert all(math.isnan(one["pass_ratio"]) for one in failures["pass_ratio_in_range"].examples)


def test_missing_column_is_named_and_rules_on_it_fail(make_batch) -> None:
    batch = make_batch("core.test_results", [make_row("core.test_results")])
    drop = getattr(batch, "drop_columns", batch.drop)
    found = _validate(drop("known_at"))
    failed = {failure.expectation_id: failure for failure in found.failures}
    assert not found.was_successful
    assert {"columns", "known_at_not_null", "known_after_start"} <= set(failed)
    assert "known_at" in failed["known_at_not_null"].observed["error"]


def test_duplicate_key_is_found_in_the_checked_slice_only(make_batch) -> None:
    def duplicates(run_key: int) -> list[str]:
        rows = [make_row("core.test_results", run_key=run_key)] * 2
        return [f.expectation_id for f in _validate(make_batch("core.test_results", rows)).failures]

    assert duplicates(-32) == ["key_unique"]
    assert duplicates(33) == []


def test_examples_are_few_and_short(make_batch) -> None:
    rows = [make_row("core.tests", test_key=n, test_name="x" * 5000) for n in range(20)]
    failure = _validate(make_batch("core.tests", rows), "core.tests")
    example = {f.expectation_id: f for f in failure.failures}["test_name_short"].examples
    assert len(example) == run.EXAMPLES
    assert all(len(row["test_name"]) <= 301 for row in example)


def test_texts_explain_and_pages_escape_hostile_names(make_batch, tmp_path) -> None:
    hostile = "<script>alert('x')</script>"
    rows = [make_row("core.tests", test_key=n, test_name=hostile) for n in (1, 2)]
    found = _validate(make_batch("core.tests", rows), "core.tests")
    text = report.failure_text(found)
    for part in ("[critical] test_name_unique", "observed:", "example:", "to do:", hostile):
        assert part in text
    index = report.write_data_docs(found, tmp_path)
    report.write_data_docs(_validate(make_batch("core.test_results", [])), tmp_path)
    page = (tmp_path / "core.tests.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "src=" not in page, "pages load nothing from elsewhere"
    assert 'href="core.tests.html"' in index.read_text()
    assert 'href="core.test_results.html"' in index.read_text()
    assert not list(tmp_path.glob("*.part"))
