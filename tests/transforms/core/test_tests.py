"""Tests: distinct exact names, only the new ones."""

import pytest
from tests.builders import make_frame
from tests.decoded import decode
from tests.grids import make_table

from cilake.contracts.core.tests import TABLE
from cilake.transforms.core import tests

pytestmark = pytest.mark.spark


def test_names_are_kept_exactly_and_once(spark):
    decoded = decode(spark, make_table({"a": [1], " a": [1]}), make_table({"a": [1], "A": [0]}, job="other"))
    found = tests.transform(decoded, make_frame(spark, TABLE, []))
    assert sorted(row.test_name for row in found.collect()) == [" a", "A", "a"]


def test_verdict_rows_are_marked_and_left_out(spark):
    rows = ["Overall", "e2e-aws.Overall", "Pod", "e2e-aws.Pod", "Overall health", "[sig] Pod", "overall"]
    found = tests.transform(
        decode(spark, make_table({name: [1] for name in rows})), make_frame(spark, TABLE, [])
    )
    assert {row.test_name for row in found.collect() if row.is_verdict} == set(rows[:4])
    kept = tests.leave_out_verdicts(found.select("test_key"), found)
    assert kept.count() == 3


def test_running_twice_adds_nothing(spark):
    decoded = decode(spark, make_table({"a": [1]}))
    published = tests.transform(decoded, make_frame(spark, TABLE, []))
    assert tests.transform(decoded, published).count() == 0


def test_no_payload_no_rows(spark):
    assert tests.transform(decode(spark), make_frame(spark, TABLE, [])).count() == 0
