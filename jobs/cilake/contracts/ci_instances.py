"""CI instances: which installation of a CI system runs a job, known by where it keeps its logs."""

from __future__ import annotations

PROW = "prow"
"""OpenShift's Prow, and every one whose bucket is not listed here."""
KUBERNETES = "prow:kubernetes"

_BUCKETS = {"kubernetes-jenkins": KUBERNETES, "kubernetes-ci-logs": KUBERNETES}
"""The instance by bucket: two buckets of one instance hold the same jobs, before and after a move."""


def find_instance(bucket: str) -> str:
    """Return the CI instance that keeps its logs in a bucket; it is part of the keys of its jobs and runs."""
    return _BUCKETS.get(bucket, PROW)
