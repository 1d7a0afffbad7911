"""Every condition that the help and the page show is read, and means what they say."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from tests.support.builders import make_row

import cilake
from cilake.client import lake as module
from cilake.client.condition import parse_condition
from cilake.commands.declared import CONDITIONS
from cilake.contracts import registry
from cilake.lake.catalog import arrow_schema, create_tables
from cilake.settings import Settings

REPO = Path(__file__).resolve().parents[2]
IN_HELP = [re.split(" {2,}", line.strip())[0] for line in CONDITIONS.splitlines()[1:-1]]
ON_PAGE = re.findall(r"^\| `([^|]+)` \|", (REPO / "docs" / "analyst.md").read_text(), re.MULTILINE)
WORDS = {"and", "or", "not", "between", "in", "like", "is", "null", "nan", "true"}
RESULTS = registry.table("core.test_results")


def table_of(condition):
    """The first table that has all columns of a condition."""
    texts_left_out = re.sub("'[^']*'", "", condition)
    named = set(re.findall("[a-z_]+", texts_left_out)) - WORDS
    return next(table for table in registry.tables().values() if named <= set(table.column_names))


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake")
    catalog = SqlCatalog("lake", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    create_tables(catalog)
    rows = [
        make_row(
            RESULTS,
            test_key=number,
            run_date=f"2026-02-{18 + number}",
            started_at=f"2026-02-{18 + number}T12:00:00Z",
            test_status=("failed", "flaky", "passed")[number - 1],
            message=(None, "it's 100% red", "50_50")[number - 1],
        )
        for number in (1, 2, 3)
    ]
    catalog.load_table(RESULTS.address).append(pa.Table.from_pylist(rows, schema=arrow_schema(RESULTS)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_catalog", lambda settings: catalog)
        yield cilake.connect(Settings())


def test_the_page_and_the_help_show_the_same_conditions():
    assert len(IN_HELP) == 11
    assert ON_PAGE == IN_HELP


@pytest.mark.parametrize("condition", IN_HELP)
def test_every_condition_of_the_help_can_be_read(lake, condition):
    assert lake.read(table_of(condition).address, where=condition) is not None


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("test_key = 2", [2]),
        ("test_key == 2", [2]),
        ("test_key != 2", [1, 3]),
        ("test_key < 2", [1]),
        ("test_key <= 2", [1, 2]),
        ("test_key > 2", [3]),
        ("test_key >= 2", [2, 3]),
        ("message = 'it''s 100% red'", [2]),
        ("run_date >= '2026-02-20'", [2, 3]),
        ("started_at < '2026-02-20T12:00:00+00:00'", [1]),
        ("started_at <= '2026-02-20T14:00:00+02:00'", [1, 2]),
        ("test_key between 2 and 3", [2, 3]),
        ("run_date between '2026-02-19' and '2026-02-20'", [1, 2]),
        ("test_status in ('failed', 'flaky')", [1, 2]),
        ("test_status not in ('failed', 'flaky')", [3]),
        ("test_status like 'f%'", [1, 2]),
        ("test_status not like 'f%'", [3]),
        ("message like '50_%'", [3]),
        ("message like 'it_%'", []),
        ("message is null", [1]),
        ("message is not null", [2, 3]),
        ("message != '50_50'", [2]),
        ("not message = '50_50'", [2]),
        ("test_key = 3 or test_key = 1 and test_status = 'passed'", [3]),
        ("(test_key = 3 or test_key = 1) and not test_status = 'passed'", [1]),
        ("test_key IN (2) OR test_key IS NULL", [2]),
    ],
)
def test_conditions_choose_the_rows_that_the_page_promises(lake, where, numbers):
    assert sorted(lake.read(RESULTS.address, where=where)["test_key"]) == numbers


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("test_status is", r"cannot read the condition 'test_status is': compare .* is null"),
        ("test_key = 1;", "from character 13 on"),
        ("lower(message) = 'x'", "cannot read the condition"),
        ("message = null", "cannot read the condition"),
        ("message like '%red'", "only supports wildcard"),
        ("jb_key = 1", r"no column 'jb_key' \(nearest: job_key"),
        ("Test_Key = 1", r"no column 'Test_Key' \(nearest: test_key\)"),
        ("test_key = 'x'", "cannot read where \"test_key = 'x'\": Could not convert x"),
        ("test_key > 1.5", "test_key holds whole numbers and 1.5 is none"),
        ("not (test_key in (1.5, 2.5) or test_key = 1)", "holds whole numbers"),
        ("run_date = 20260220", "run_date is a date, which is written in quotes"),
        ("started_at > 0", "started_at is a timestamp, which is written in quotes"),
        ("run_date = '2026-2-20'", "Could not convert 2026-2-20 into a date: write days as '2026-02-20'"),
        ("started_at > '2026-02-20T12:00:00'", "Missing zone offset"),
    ],
)
def test_conditions_that_would_be_misread_are_refused(lake, where, message):
    with pytest.raises(cilake.LakeError, match=message):
        lake.read(RESULTS.address, where=where)


def test_whole_numbers_may_have_a_point():
    assert parse_condition(RESULTS, "test_key > 1.0") is not None
