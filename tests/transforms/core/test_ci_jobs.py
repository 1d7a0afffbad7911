"""Jobs: variants as their names declare them."""

import pytest
from tests.builders import make_frame
from tests.decoded import decode
from tests.grids import make_table

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
        ("some-unit-tests", (None, None, None, None, False, False)),
    ],
)
def test_variants(spark, name, expected):
    row = build(spark, name)[name]
    seen = (row.release, row.from_release, row.platform, row.network, row.is_upgrade, row.is_serial)
    assert seen == expected


def test_running_twice_adds_nothing(spark):
    decoded = decode(spark, make_table({"a": [1]}), make_table({"a": [1]}))
    published = ci_jobs.transform(decoded, make_frame(spark, TABLE, []))
    assert published.count() == 1
    assert ci_jobs.transform(decoded, published).count() == 0
    assert ci_jobs.transform(decode(spark), published).count() == 0
