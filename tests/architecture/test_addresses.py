"""One thing, one address: contract, suite, page, transform and its tests, by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cilake.contracts import registry

ROOT = Path(__file__).resolve().parents[2]
TABLES = sorted(registry.tables())
AUDITED = [address for address in TABLES if registry.table(address).is_audited]
TRANSFORMED = [address for address in TABLES if address.partition(".")[0] in ("core", "kpi")]


def _addresses(folder: str, suffix: str, prefix: str = "") -> list[str]:
    """The addresses that the files ``<namespace>/<prefix><table><suffix>`` of a folder mean."""
    return sorted(
        f"{path.parent.name}.{path.name.removeprefix(prefix).removesuffix(suffix)}"
        for path in (ROOT / folder).glob(f"*/{prefix}*{suffix}")
        if path.name not in ("__init__.py", "conftest.py") and path.parent.name != "vocabulary"
    )


@pytest.mark.parametrize(
    ("folder", "suffix", "prefix", "expected"),
    [
        ("jobs/cilake/contracts", ".py", "", TABLES),
        ("expectations", ".json", "", AUDITED),
        ("docs/tables", ".md", "", TABLES),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_every_table_has_its_file_and_no_file_is_surplus(folder, suffix, prefix, expected) -> None:
    found = _addresses(folder, suffix, prefix)
    missing = sorted(set(expected) - set(found))
    surplus = sorted(set(found) - set(expected))
    assert (missing, surplus) == ([], []), f"{folder}: missing {missing}, surplus {surplus}"


def test_core_and_kpi_tables_have_a_transform_and_every_transform_has_a_table() -> None:
    """Tables of the other namespaces may have a transform: some are written by collectors or models."""
    found = _addresses("jobs/cilake/transforms", ".py")
    missing = sorted(set(TRANSFORMED) - set(found))
    surplus = sorted(set(found) - set(TABLES))
    assert (missing, surplus) == ([], [])


def test_every_transform_has_its_test_and_no_test_is_surplus() -> None:
    transforms = _addresses("jobs/cilake/transforms", ".py")
    tests = _addresses("tests/transforms", ".py", "test_")
    missing, surplus = sorted(set(transforms) - set(tests)), sorted(set(tests) - set(transforms))
    assert (missing, surplus) == ([], []), f"tests/transforms: missing {missing}, surplus {surplus}"


@pytest.mark.parametrize("address", TABLES)
def test_names_are_plural_snake_case_and_texts_are_sentences(address) -> None:
    table = registry.table(address)
    assert re.fullmatch(r"[a-z]+\.[a-z][a-z0-9_]*", address)
    if table.namespace == "raw":
        assert "__" in table.name, "raw tables are named <source>__<endpoint>"
    for column in table.columns:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name), column.name
        assert column.description.endswith("."), f"{column.name}: the description is not a sentence"
    for text in (table.grain, table.description, *table.caveats):
        assert text.endswith("."), text
    assert table.made_by, "a reader must learn who makes the table"
    assert table.example_query


def test_one_name_has_one_type() -> None:
    types: dict[str, set[str]] = {}
    for table in registry.tables().values():
        for column in table.columns:
            types.setdefault(column.name, set()).add(column.type)
    drifted = {name: kinds for name, kinds in types.items() if len(kinds) > 1}
    assert not drifted


def test_tables_come_after_their_inputs() -> None:
    order = list(registry.tables())
    for address, table in registry.tables().items():
        assert all(order.index(source) < order.index(address) for source in registry.inputs_of(table)), (
            address
        )
