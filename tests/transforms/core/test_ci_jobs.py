"""Jobs: variants as their names declare them."""

import pytest
from pyspark.sql import functions as F
from tests.support.builders import make_frame, make_row
from tests.support.decoded import decode
from tests.support.grids import make_table

from cilake.contracts.core.ci_jobs import TABLE
from cilake.transforms.core import ci_jobs

pytestmark = pytest.mark.spark


def build(spark, *names):
    decoded = decode(spark, *[make_table({"a": [1]}, job=name) for name in names])
    return {row.job_name: row for row in ci_jobs.transform(decoded, make_frame(spark, TABLE, [])).collect()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("release-openshift-ocp-installer-e2e-aws-serial-4.6", ("4.6", None, "aws", None, False, True)),
        (
            "release-openshift-origin-installer-e2e-azure-upgrade-4.5-stable-to-4.6-ci",
            ("4.6", "4.5", "azure", None, True, False),
        ),
        (
            "periodic-ci-openshift-release-master-nightly-4.8-e2e-metal-ipi-ovn-ipv6",
            ("4.8", None, "metal-ipi", "ovn", False, False),
        ),
        (
            "periodic-ci-openshift-release-master-ci-4.8-upgrade-from-from-stable-4.7-from-stable-4.6-e2e-aws-upgrade",
            ("4.8", "4.6", "aws", None, True, False),
        ),
        (
            "periodic-ci-example-release-4.9-nightly-4.10-upgrade-from-stable-4.9-e2e-gcp",
            ("4.10", "4.9", "gcp", None, True, False),
        ),
        (
            "release-openshift-origin-installer-e2e-aws-upgrade-rollback-4.4-to-4.5",
            ("4.5", "4.4", "aws", None, True, False),
        ),
        (
            "release-openshift-origin-installer-e2e-aws-upgrade-4.4-nightly-to-4.4-nightly",
            ("4.4", "4.4", "aws", None, True, False),
        ),
        (
            "release-openshift-origin-installer-e2e-aws-upgrade-4.3-to-4.4-to-4.6-to-4.7-ci",
            ("4.7", "4.3", "aws", None, True, False),
        ),
        ("e2e-upgrade-4.4-4.5", ("4.5", "4.4", None, None, True, False)),
        ("e2e-gcp-upgrade-4.7", ("4.7", None, "gcp", None, True, False)),
        ("e2e-4.6-in-4.7", ("4.7", None, None, None, False, False)),
        ("some-unit-tests", (None, None, None, None, False, False)),
    ],
)
def test_variants(spark, name, expected):
    row = build(spark, name)[name]
    seen = (row.release, row.from_release, row.platform, row.network, row.is_upgrade, row.is_serial)
    assert seen == expected


def test_a_job_whose_key_is_taken_is_left_out(spark):
    """The key is set by hand: who holds it is decided by the frames alone."""
    decoded = decode(spark, make_table({"a": [1]}, job="first"), make_table({"a": [1]}, job="second"))
    decoded = decoded.withColumn("job_key", F.lit(11).cast("bigint"))
    nothing = make_frame(spark, TABLE, [])
    assert [row.job_name for row in ci_jobs.transform(decoded, nothing).collect()] == ["first"]
    holds = make_frame(spark, TABLE, [make_row(TABLE, job_key=11, job_name="second")])
    assert ci_jobs.transform(decoded, holds).count() == 0
    found = ci_jobs.collisions(decoded, holds)
    assert [(row.job_name, row.reason) for row in found.collect()] == [
        ("first", "taken_job_key: 11 is the key of second")
    ]
    assert [row.job_name for row in ci_jobs.leave_out_collisions(decoded, found).collect()] == ["second"]


def test_running_twice_adds_nothing(spark):
    decoded = decode(spark, make_table({"a": [1]}), make_table({"a": [1]}))
    published = ci_jobs.transform(decoded, make_frame(spark, TABLE, []))
    assert published.count() == 1
    assert ci_jobs.transform(decoded, published).count() == 0
    assert ci_jobs.transform(decode(spark), published).count() == 0
