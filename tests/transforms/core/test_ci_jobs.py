"""Jobs: variants as their names declare them."""

import pytest
from tests.support.builders import make_row
from tests.support.decoded import decode, with_value
from tests.support.engines import make_input, rows_of
from tests.support.grids import make_table

from cilake.contracts.ci_instances import PROW
from cilake.contracts.core.ci_jobs import TABLE
from cilake.transforms.core import ci_jobs


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
def test_variants(name, expected):
    row = ci_jobs.describe(1, name, PROW)
    columns = ("release", "from_release", "platform", "network", "is_upgrade", "is_serial")
    assert tuple(row[column] for column in columns) == expected


def test_a_job_whose_key_is_taken_is_left_out(engine):
    """The key is set by hand: who holds it is decided by the rows alone."""
    shown = decode(make_table({"a": [1]}, job="first"), make_table({"a": [1]}, job="second"))
    decoded = engine.from_arrow(with_value(shown, job_key=11))
    nothing = make_input(engine, TABLE, [])
    new = ci_jobs.transform(engine, decoded=decoded, ci_jobs=nothing)
    assert [row.job_name for row in rows_of(engine, new)] == ["first"]
    holds = make_input(engine, TABLE, [make_row(TABLE, job_key=11, job_name="second")])
    assert rows_of(engine, ci_jobs.transform(engine, decoded=decoded, ci_jobs=holds)) == []
    found = ci_jobs.find_collisions(engine, decoded=decoded, ci_jobs=holds)
    assert [(row.job_name, row.reason) for row in rows_of(engine, found)] == [
        ("first", "taken_job_key: 11 is the key of second")
    ]
    left = ci_jobs.leave_out_collisions(engine, decoded, found)
    assert [row.job_name for row in rows_of(engine, left)] == ["second"]


def test_running_twice_adds_nothing(engine):
    decoded = engine.from_arrow(decode(make_table({"a": [1]}), make_table({"a": [1]})))
    published = ci_jobs.transform(engine, decoded=decoded, ci_jobs=make_input(engine, TABLE, []))
    assert len(rows_of(engine, published)) == 1
    for again in (decoded, engine.from_arrow(decode())):
        assert rows_of(engine, ci_jobs.transform(engine, decoded=again, ci_jobs=published)) == []
