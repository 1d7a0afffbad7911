"""Jobs, with the variants their names declare.

OpenShift and Kubernetes put release, platform, network and upgrade path into job names, for example
``release-openshift-origin-installer-e2e-aws-upgrade-4.5-stable-to-4.6-ci``.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.core.ci_jobs import TABLE

PLATFORMS = (
    "metal-ipi", "metal", "aws", "gcp", "azure", "vsphere", "openstack", "ovirt", "libvirt", "ibmcloud", "alibaba", "kubevirt",
)  # fmt: skip
NETWORKS = ("ovn", "sdn", "proxy", "dualstack", "ipv6", "cilium", "calico", "kuryr")
ARCHITECTURES = ("arm64", "ppc64le", "s390x")


def _first_of(name: Column, words: tuple[str, ...]) -> Column:
    found = F.lit(None).cast("string")
    for word in reversed(words):
        found = F.when(_has(name, word), F.lit(word)).otherwise(found)
    return found


def _has(name: Column, word: str) -> Column:
    return name.rlike(rf"(^|[-_.]){word}($|[-_.])")


def transform(decoded: DataFrame, published: DataFrame) -> DataFrame:
    """Rows of ``core.ci_jobs`` that are not published yet."""
    jobs = decoded.select("job_key", "job_name").distinct()
    new = jobs.join(published.select("job_key"), "job_key", "left_anti")
    name = F.lower("job_name")
    versions = F.regexp_extract_all(name, F.lit(r"(?:^|[-_.v])(\d+\.\d+)(?=$|[-_.])"), F.lit(1))
    release = F.when(F.size(versions) > 0, F.element_at(versions, -1))
    return new.select(
        "job_key",
        F.lit("prow").alias("ci_system"),
        "job_name",
        release.alias("release"),
        F.when(name.contains("upgrade") & (F.size(versions) > 1), F.element_at(versions, 1)).alias(
            "from_release"
        ),
        _first_of(name, PLATFORMS).alias("platform"),
        _first_of(name, NETWORKS).alias("network"),
        _first_of(name, ARCHITECTURES).alias("architecture"),
        name.contains("upgrade").alias("is_upgrade"),
        _has(name, "serial").alias("is_serial"),
        _has(name, "fips").alias("is_fips"),
    ).select(TABLE.column_names)
