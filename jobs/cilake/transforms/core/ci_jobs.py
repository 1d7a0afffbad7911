"""Jobs, with the variants their names declare.

OpenShift and Kubernetes put release, platform, network and upgrade path into job names, for example
``release-openshift-origin-installer-e2e-aws-upgrade-4.5-stable-to-4.6-ci``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

from cilake.contracts.ci_instances import KUBERNETES, PROW
from cilake.contracts.core.ci_jobs import TABLE
from cilake.lake.catalog import arrow_schema
from cilake.transforms.engines import Engine, Rows
from cilake.transforms.words import of

PLATFORMS = (
    "metal-ipi", "metal", "aws", "gcp", "azure", "vsphere", "openstack", "ovirt", "libvirt", "ibmcloud", "alibaba", "kubevirt",
)  # fmt: skip
NETWORKS = ("ovn", "sdn", "proxy", "dualstack", "ipv6", "cilium", "calico", "kuryr")
ARCHITECTURES = ("arm64", "ppc64le", "s390x")
MAX_READ = 500
"""Characters of a name that is read; recorded ones have fewer than 130. On a longer one, which anybody may
choose, a rule with words between its versions could take hours."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One of the versions that a pattern finds: its first group; indexes count from 1, -1 is the last."""

    pattern: str
    index: int

    def of(self, name: str) -> str | None:
        """Return the version in the name, ``None`` when there is none."""
        found = [match[1] for match in re.finditer(self.pattern, name, re.ASCII)]
        if not found:
            return None
        return found[self.index - 1 if self.index > 0 else self.index]


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
        # under test is before the words, the one that the chain starts from comes last.
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


_PAYLOAD = ("origin", "source", "endpoint", "natural_id", "known_at", "landed_date")
_FIRST_JOBS = """
    SELECT job_key, min_by(job_name, struct(known_at, job_name)) AS job_name,
        min_by(ci_instance, struct(known_at, job_name)) AS ci_instance
    FROM decoded WHERE job_key IS NOT NULL GROUP BY job_key
"""
"""For each key the job that was known first; of jobs known at once the first by the alphabet."""

_NEW = f"""
    SELECT named.* FROM ({_FIRST_JOBS}) AS named ANTI JOIN ci_jobs ON named.job_key = ci_jobs.job_key
"""

_COLLISIONS = f"""
WITH holders AS (
    SELECT job_key, job_name AS holder_name FROM ci_jobs
    UNION ALL SELECT job_key, job_name FROM ({_NEW}) AS added
)
SELECT DISTINCT {of("shown", _PAYLOAD)}, shown.job_key, shown.job_name, holder_name,
    'taken_job_key: ' || cast(shown.job_key AS string) || ' is the key of ' || holder_name AS reason
FROM decoded AS shown JOIN holders ON shown.job_key = holders.job_key
WHERE shown.job_name <> holder_name
"""


def transform(engine: Engine[Rows], *, decoded: Rows, ci_jobs: Rows) -> Rows:
    """Return the rows of ``core.ci_jobs`` whose key is not among the published ``ci_jobs``.

    A name whose key belongs to another job is in ``find_collisions``.
    """
    new = engine.to_arrow(engine.sql(_NEW, decoded=decoded, ci_jobs=ci_jobs))
    rows = [describe(**row) for row in new.to_pylist()]
    return engine.from_arrow(pa.Table.from_pylist(rows, schema=arrow_schema(TABLE)))


def find_collisions(engine: Engine[Rows], *, decoded: Rows, ci_jobs: Rows) -> Rows:
    """Return the jobs whose key belongs to another job, once per payload that holds them.

    Columns: ``origin``, ``source``, ``endpoint``, ``natural_id``, ``known_at``, ``landed_date`` of the
    payload, ``job_key``, ``job_name``, ``holder_name`` (whose key it is) and ``reason``. The job that is
    published keeps its key; of several new ones the one that was known first (ties by name).
    """
    return engine.sql(_COLLISIONS, decoded=decoded, ci_jobs=ci_jobs)


def leave_out_collisions(engine: Engine[Rows], decoded: Rows, collided: Rows) -> Rows:
    """Return the decoded rows without the runs of jobs whose key belongs to another job."""
    return engine.sql(
        "SELECT decoded.* FROM decoded ANTI JOIN taken ON decoded.job_name = taken.job_name",
        decoded=decoded,
        taken=collided,
    )


def describe(job_key: int, job_name: str, ci_instance: str) -> dict[str, object]:
    """Return the row of ``core.ci_jobs`` of a job: what its name says in its instance's words.

    A name of more than ``MAX_READ`` characters says nothing.
    """
    name = job_name.lower() if len(job_name) <= MAX_READ else ""
    rules = NAME_RULES.get(ci_instance, ())
    rule = next((rule for rule in rules if re.search(rule.applies, name, re.ASCII)), None)
    return {
        "job_key": job_key,
        "ci_system": ci_instance.partition(":")[0],
        "ci_instance": ci_instance,
        "job_name": job_name,
        "release": rule.release.of(name) if rule else None,
        "from_release": rule.from_release.of(name) if rule and rule.from_release else None,
        "platform": _find_word(name, PLATFORMS),
        "network": _find_word(name, NETWORKS),
        "architecture": _find_word(name, ARCHITECTURES),
        "is_upgrade": "upgrade" in name,
        "is_serial": _has(name, "serial"),
        "is_fips": _has(name, "fips"),
    }


def _find_word(name: str, words: tuple[str, ...]) -> str | None:
    return next((word for word in words if _has(name, word)), None)


def _has(name: str, word: str) -> bool:
    return re.search(rf"(^|[-_.]){word}($|[-_.])", name) is not None
