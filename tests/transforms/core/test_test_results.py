"""Test results: one row per result of the observation that stands, keyed like Spark hashes."""

import pytest
from pyspark.sql import functions as F
from tests.support.decoded import observe
from tests.support.grids import make_table

from cilake.transforms.core import test_results
from cilake.transforms.core.ci_run_observations import select_standing

pytestmark = pytest.mark.spark


def test_results_become_rows_with_readable_statuses(spark):
    observed = observe(spark, make_table({"Overall": [12, 1], "a": [12, 13], "b": [0, 3]}))
    rows = test_results.transform(select_standing(observed, {}), observed)
    names = spark.createDataFrame([("Overall",), ("a",), ("b",)], "test_name string")
    named = rows.join(names.withColumn("test_key", F.xxhash64("test_name")), "test_key")
    seen = {(r.test_name, str(r.run_date)): (r.test_status, r.message) for r in named.collect()}
    assert seen == {
        ("Overall", "2021-06-23"): ("failed", "boom"),
        ("Overall", "2021-06-22"): ("passed", None),
        ("a", "2021-06-23"): ("failed", "boom"),
        ("a", "2021-06-22"): ("flaky", None),
        ("b", "2021-06-22"): ("passed_with_skips", None),
    }
