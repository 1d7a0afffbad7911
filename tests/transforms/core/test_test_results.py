"""Test results: one row per non-empty cell, keyed like Spark hashes."""

import pytest
from pyspark.sql import functions as F
from tests.builders import make_frame
from tests.decoded import decode, rows_of
from tests.grids import make_table

from cilake.contracts.core.ci_runs import TABLE as CI_RUNS
from cilake.transforms.core import ci_runs, test_results

pytestmark = pytest.mark.spark


def build(spark, *tables):
    published = make_frame(spark, CI_RUNS, [])
    newest = ci_runs.select_newest(ci_runs.mark_changed(decode(spark, *tables), published))
    return test_results.transform(newest, partition_count=2)


def test_cells_become_rows_with_readable_statuses(spark):
    rows = build(spark, make_table({"Overall": [12, 1], "a": [12, 13], "b": [0, 3]}))
    named = rows.join(
        spark.createDataFrame([("Overall",), ("a",), ("b",)], "test_name string").withColumn(
            "test_key", F.xxhash64("test_name")
        ),
        "test_key",
    )
    seen = {(r.test_name, str(r.run_date)): (r.test_status, r.message) for r in named.collect()}
    assert seen == {
        ("Overall", "2021-06-23"): ("failed", "boom"),
        ("Overall", "2021-06-22"): ("passed", None),
        ("a", "2021-06-23"): ("failed", "boom"),
        ("a", "2021-06-22"): ("flaky", None),
        ("b", "2021-06-22"): ("passed_with_skips", None),
    }


def test_a_table_seen_twice_gives_its_rows_once(spark):
    table = make_table({"Overall": [1, 1], "a": [1, 12]})
    assert rows_of(build(spark, table, table)) == rows_of(build(spark, table))


def test_no_payload_no_rows(spark):
    assert build(spark).count() == 0
