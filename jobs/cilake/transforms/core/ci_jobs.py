"""Jobs, with the variants their names declare.

OpenShift and Kubernetes put release, platform, network and upgrade path into job names, for example
``release-openshift-origin-installer-e2e-aws-upgrade-4.5-stable-to-4.6-ci``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cilake.contracts.ci_instances import KUBERNETES, PROW
from cilake.contracts.core.ci_jobs import TABLE

PLATFORMS = (
    "metal-ipi", "metal", "aws", "gcp", "azure", "vsphere", "openstack", "ovirt", "libvirt", "ibmcloud", "alibaba", "kubevirt",
)  # fmt: skip
NETWORKS = ("ovn", "sdn", "proxy", "dualstack", "ipv6", "cilium", "calico", "kuryr")
ARCHITECTURES = ("arm64", "ppc64le", "s390x")


@dataclass(frozen=True, slots=True)
class Pick:
    """One of the versions that a pattern finds: its first group; places count from 1, -1 is the last."""

    pattern: str
    place: int

    def of(self, name: Column) -> Column:
        """Return the version in the name, null when there is none."""
        found = F.regexp_extract_all(name, F.lit(self.pattern), F.lit(1))
        return F.when(F.size(found) > 0, F.element_at(found, self.place))


@dataclass(frozen=True, slots=True)
class NameRule:
    """What the versions in a job's name mean, for names that ``applies`` matches."""

    applies: str
    release: Pick
    from_release: Pick | None = None


_VERSION = r"(?:^|[-_.v])(\d+\.\d+)(?=$|[-_.])"
_WORDS = r"(?:-[a-z][a-z0-9]*)*"

NAME_RULES: dict[str, tuple[NameRule, ...]] = {
    PROW: (
        # nightly-4.8-upgrade-from-stable-4.7, 4.8-upgrade-from-from-stable-4.7-from-stable-4.6: the release
        # under test stands before the words, the one that the chain starts from comes last.
        NameRule(
            applies=rf"\d\.\d+{_WORDS}-upgrade{_WORDS}-from{_WORDS}-v?\d+\.\d",
            release=Pick(rf"(?:^|[-_.v])(\d+\.\d+)(?={_WORDS}-upgrade{_WORDS}-from-)", -1),
            from_release=Pick(rf"-from{_WORDS}-v?(\d+\.\d+)(?=$|[-_.])", -1),
        ),
        # upgrade-4.5-stable-to-4.6-ci, upgrade-4.2-to-4.3-to-4.4: the steps in their order.
        NameRule(
            applies=rf"upgrade.*\d\.\d+{_WORDS}-to{_WORDS}-v?\d+\.\d",
            release=Pick(rf"-to{_WORDS}-v?(\d+\.\d+)(?=$|[-_.])", -1),
            from_release=Pick(rf"(?:^|[-_.v])(\d+\.\d+)(?={_WORDS}-to-)", 1),
        ),
        # Two versions of an upgrade without a word between them: in the order of the steps, too.
        NameRule(
            applies="upgrade",
            release=Pick(_VERSION, -1),
            from_release=Pick(rf"{_VERSION}(?=.*{_VERSION})", 1),
        ),
        NameRule(applies="", release=Pick(_VERSION, -1)),
    ),
    KUBERNETES: (NameRule(applies="", release=Pick(_VERSION, -1)),),
}
"""By CI instance, the rules of its job names; of the rules that match a name in lower case the first one holds."""


def transform(decoded: DataFrame, published: DataFrame) -> DataFrame:
    """Return the rows of ``core.ci_jobs`` whose key is not published yet.

    A name whose key belongs to another job is in ``collisions``.
    """
    new = _first_jobs(decoded).join(published.select("job_key"), "job_key", "left_anti")
    name = F.lower("job_name")
    return new.select(
        "job_key",
        F.split_part("ci_instance", F.lit(":"), F.lit(1)).alias("ci_system"),
        "ci_instance",
        "job_name",
        _by_instance(name, lambda rule: rule.release).alias("release"),
        _by_instance(name, lambda rule: rule.from_release).alias("from_release"),
        _first_of(name, PLATFORMS).alias("platform"),
        _first_of(name, NETWORKS).alias("network"),
        _first_of(name, ARCHITECTURES).alias("architecture"),
        name.contains("upgrade").alias("is_upgrade"),
        _has(name, "serial").alias("is_serial"),
        _has(name, "fips").alias("is_fips"),
    ).select(TABLE.column_names)


def collisions(decoded: DataFrame, published: DataFrame) -> DataFrame:
    """Return the jobs whose key belongs to another job, once per payload that holds them.

    Columns: ``origin``, ``source``, ``endpoint``, ``natural_id``, ``known_at``, ``landed_date`` of the
    payload, ``job_key``, ``job_name``, ``holder_name`` (whose key it is) and ``reason``. The job that is published keeps its key;
    of several new ones the one that was known first (ties by name).
    """
    holders = published.select("job_key", F.col("job_name").alias("holder_name")).unionByName(
        _first_jobs(decoded)
        .join(published.select("job_key"), "job_key", "left_anti")
        .select("job_key", F.col("job_name").alias("holder_name"))
    )
    payloads = (
        "origin",
        "source",
        "endpoint",
        "natural_id",
        "known_at",
        "landed_date",
        "job_key",
        "job_name",
    )
    reason = F.concat(F.lit("taken_job_key: "), "job_key", F.lit(" is the key of "), "holder_name")
    return (
        decoded.where("job_key is not null")
        .select(*payloads)
        .distinct()
        .join(holders, "job_key")
        .where("job_name <> holder_name")
        .select(*payloads, "holder_name", reason.alias("reason"))
    )


def leave_out_collisions(decoded: DataFrame, collided: DataFrame) -> DataFrame:
    """Return the decoded rows without the runs of jobs whose key belongs to another job."""
    names = collided.select("job_name").distinct()
    return decoded.join(F.broadcast(names), "job_name", "left_anti")


def _first_jobs(decoded: DataFrame) -> DataFrame:
    """Return for each key the job that was known first; of jobs known at once the first by the alphabet."""
    first = F.struct("known_at", "job_name")
    return (
        decoded.where("job_key is not null")
        .groupBy("job_key")
        .agg(*(F.min_by(name, first).alias(name) for name in ("job_name", "ci_instance")))
    )


def _by_instance(name: Column, pick: Callable[[NameRule], Pick | None]) -> Column:
    """Return the version that the rules of the job's instance pick from its name."""
    chosen = F.lit(None).cast("string")
    for instance, rules in NAME_RULES.items():
        picked = _by_rules(name, [(rule.applies, pick(rule)) for rule in rules])
        chosen = F.when(F.col("ci_instance") == instance, picked).otherwise(chosen)
    return chosen


def _by_rules(name: Column, picks: list[tuple[str, Pick | None]]) -> Column:
    """Return the version that the first matching rule picks, null where it picks none."""
    chosen = F.lit(None).cast("string")
    for applies, pick in reversed(picks):
        picked = pick.of(name) if pick else F.lit(None).cast("string")
        chosen = F.when(name.rlike(applies), picked).otherwise(chosen)
    return chosen


def _first_of(name: Column, words: tuple[str, ...]) -> Column:
    found = F.lit(None).cast("string")
    for word in reversed(words):
        found = F.when(_has(name, word), F.lit(word)).otherwise(found)
    return found


def _has(name: Column, word: str) -> Column:
    return name.rlike(rf"(^|[-_.]){word}($|[-_.])")
