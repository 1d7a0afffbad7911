from __future__ import annotations

import json
import re

import pytest

from cilake.contracts import registry
from cilake.contracts.model import Column, Table
from cilake.quality import suite

TABLE = Table(
    address="core.things",
    title="Things",
    grain="One row per thing.",
    description="Things.",
    columns=(
        Column("thing_key", "bigint", "Key."),
        Column("thing_status", "string", "State.", nullable=True, allowed=("good", "bad")),
        Column("part_count", "bigint", "Parts."),
        Column("good_ratio", "double", "Share.", nullable=True, unit="ratio"),
    ),
    primary_key=("thing_key",),
    write_mode="merge",
)


def test_generate_covers_columns_nulls_values_ranges_and_key() -> None:
    assert [entry["id"] for entry in suite.generate(TABLE)] == [
        "columns",
        "thing_key_not_null",
        "thing_status_allowed",
        "part_count_not_null",
        "part_count_in_range",
        "good_ratio_in_range",
        "key_unique",
        "not_empty",
    ]


def test_generate_is_the_same_every_time() -> None:
    assert suite.generate(TABLE) == suite.generate(TABLE)


def test_suite_files_are_fresh() -> None:
    stale = suite.stale_suites()
    assert not stale, f"run `cilake docs`: {stale}"


def test_write_suites_keeps_hand_written_rules_and_refreshes_generated_ones(tmp_path) -> None:
    suite.write_suites(tmp_path)
    table = registry.table("core.tests")
    path = suite.suite_path(table, tmp_path)
    written = json.loads(path.read_text())
    ours = {
        "id": "ours",
        "type": "expect_no_rows",
        "kwargs": {"unexpected_rows_query": "select 1 from {batch} where false"},
        "severity": "info",
        "notes": "Because.",
        "meta": {"origin": "hand"},
    }
    written["expectations"] = [ours, {**written["expectations"][0], "notes": "edited"}]
    path.write_text(json.dumps(written))
    assert suite.write_suites(tmp_path) == [path]
    assert suite.read(table, tmp_path) == [ours, *suite.generate(table)]
    assert suite.write_suites(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a suite"),
        ("[]", "not a suite"),
        ('{"expectations": [{"id": "", "severity": "info", "notes": "x"}]}', "its own id"),
        ('{"expectations": [{"id": "a", "severity": "fatal", "notes": "x"}]}', "severity"),
        ('{"expectations": [{"id": "a", "severity": "info", "notes": ""}]}', "reason"),
    ],
)
def test_read_names_the_file_and_what_is_wrong(tmp_path, text, message) -> None:
    path = suite.suite_path(TABLE, tmp_path)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(suite.SuiteError, match=message) as error:
        suite.read(TABLE, tmp_path)
    assert str(path) in str(error.value)


def test_read_says_how_to_make_a_missing_suite(tmp_path) -> None:
    with pytest.raises(suite.SuiteError, match="cilake docs"):
        suite.read(TABLE, tmp_path)


def test_sliced_keys_say_so_in_their_reason() -> None:
    sliced = [table for table in registry.tables().values() if table.key_slices > 1]
    assert sliced
    for table in sliced:
        entry = next(e for e in suite.generate(table) if e["id"] == "key_unique")
        assert f"% {table.key_slices} = 0" in entry["kwargs"]["unexpected_rows_query"]
        assert "not seen" in entry["notes"]


@pytest.mark.parametrize("address", suite.audited_tables())
def test_conditions_list_the_columns_they_read(address) -> None:
    table = registry.table(address)
    for entry in suite.read(table):
        listed = entry["kwargs"].get("column_list", [])
        assert set(listed) <= set(table.column_names), entry["id"]
        if condition := entry["kwargs"].get("condition"):
            used = {name for name in table.column_names if re.search(rf"\b{name}\b", condition)}
            assert used <= set(listed), entry["id"]
