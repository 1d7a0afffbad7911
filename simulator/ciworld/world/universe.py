"""What exists in a synthetic world and what is planted in it: jobs, tests, and the truth about them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from ciworld.world.rng import Rng, key_of, uniforms

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
HISTORY_START = EPOCH - timedelta(days=45)
HORIZON = EPOCH + timedelta(days=400)
BLOCKING = ("e2e-aws", "e2e-aws-serial", "e2e-gcp", "e2e-gcp-ovn-upgrade", "e2e-metal-ipi", "e2e-azure")
INFORMING = (
    "e2e-aws-ovn-upgrade",
    "e2e-aws-fips",
    "e2e-azure-ovn",
    "e2e-vsphere",
    "e2e-vsphere-ovn-upgrade",
    "e2e-metal-ipi-ovn-ipv6",
)
PLATFORMS = ("aws", "azure", "gcp", "metal", "vsphere")
RELEASES = 2
MAX_RELEASES = 500
_HOMES = 24
SUITE_TESTS = 2900
FLAKY_TESTS = 160
RENAMED_TESTS = 40
INFRA_FAILURE = 0.015
BASE_FAILURE = 0.0002
ABSENT = 0.01
_SIGS = {
    "sig-network": ("Services", "NetworkPolicy", "Ingress router", "DNS resolver", "EgressIP", "Multus"),
    "sig-storage": ("In-tree Volumes", "CSI mock volume", "PersistentVolumes", "EmptyDir", "Snapshots"),
    "sig-apps": ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "ReplicaSet", "Job"),
    "sig-node": ("Pods", "Probing container", "Security Context", "Kubelet", "RuntimeClass"),
    "sig-auth": ("ServiceAccounts", "OAuth server", "RBAC proxy", "Certificates API"),
    "sig-api-machinery": ("AdmissionWebhook", "Garbage collector", "ResourceQuota", "Watchers", "CRD"),
    "sig-cli": ("Kubectl client", "oc adm", "oc explain", "oc debug"),
    "sig-imageregistry": ("Image append", "Image prune", "Registry mirror"),
    "sig-builds": ("Docker build", "s2i build", "Build webhooks", "Pipeline build"),
    "sig-instrumentation": ("Prometheus", "Alerts", "Metrics server", "Events"),
    "sig-etcd": ("etcd leader", "etcd backup", "etcd scaling"),
    "sig-scheduling": ("SchedulerPreemption", "LimitRange", "Taints"),
}
_VERBS = ("create", "update", "delete", "recover", "serve", "report", "reject", "list", "mount", "restart")
_OBJECTS = (
    "objects in a namespace",
    "a replacement after node drain",
    "the default configuration",
    "endpoints on the same port",
    "requests with a bound token",
    "conditions of the operator",
    "volumes with a sub path",
    "large lists in chunks",
    "pods with host networking",
    "status after a rollout",
)
_ENDS = ("", " [Slow]", " [Conformance]", " [Early]", " [Late]", " when quota is set", " under load")
_REASONS = (
    "timed out waiting for the condition",
    "unexpected error: the server was unable to return a response in the time allotted",
    "expected 3 ready replicas, found 2",
    "connection refused while dialing backend",
    "Operation cannot be fulfilled: the object has been modified",
)


@dataclass(frozen=True)
class Job:
    """One tab: its dashboard, its name, and the tests it runs (indexes into the universe)."""

    number: int
    name: str
    dashboard: str
    release: str
    platform: str
    tests: np.ndarray
    core: np.ndarray


@dataclass(frozen=True)
class Regression:
    """A real regression: tests that fail in some jobs from a start until the fix."""

    number: int
    start: datetime
    fix: datetime
    tests: frozenset[int]
    jobs: frozenset[int]
    probability: float
    message: str
    mask: np.ndarray = field(repr=False, compare=False)


@dataclass(frozen=True)
class Outage:
    """Hours in which whole runs fail: everything fails, or most of the results are missing."""

    number: int
    start: datetime
    end: datetime
    jobs: frozenset[int]
    mode: str


@dataclass(frozen=True)
class Rename:
    """A test whose old name ends and whose new one begins at a time."""

    test: int
    new_name: str
    at: datetime


@dataclass
class Behaviour:
    """How each test behaves when nothing real is wrong, as arrays over the tests of the universe."""

    fail: np.ndarray
    flaky: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    platform: np.ndarray
    skipped: np.ndarray


def suite_names(seed: int) -> list[str]:
    """Return the different names of the tests of the suites."""
    every = []
    for sig, features in _SIGS.items():
        for feature in features:
            for verb in _VERBS:
                for thing in _OBJECTS:
                    every.append((sig, feature, verb, thing))
    order = np.argsort(uniforms(np.arange(len(every), dtype=np.uint64), key_of(seed, "names")))
    names = []
    for index in order[:SUITE_TESTS].tolist():
        sig, feature, verb, thing = every[index]
        rng = Rng(seed, "name", index)
        suite = "serial" if rng.uniform() < 0.2 else "parallel"
        end = _ENDS[rng.below(len(_ENDS))]
        names.append(f"[{sig}] {feature} should {verb} {thing}{end} [Suite:ciworld/conformance/{suite}]")
    # Two names of the real data's kind: outer blanks, and a pair that differs only in case.
    names[-1] = f" {names[-1]}"
    names[-2] = names[-3].replace("should", "Should")
    return names


class Universe:
    """Everything that a seed fixes: jobs, tests, and what is planted, for so many releases of twelve jobs."""

    def __init__(self, seed: int, releases: int = RELEASES):
        if not 1 <= releases <= MAX_RELEASES:
            raise ValueError(f"{releases} releases: a world has 1 to {MAX_RELEASES}")
        self.seed = seed
        self.releases = tuple(f"1.{number}" for number in range(1, releases + 1))
        self.names = suite_names(seed)
        self.jobs = self._jobs()
        self.keys = np.array([key_of(seed, "test", name) for name in self.names], dtype=np.uint64)
        self.sigs = np.array([name.strip().split("]")[0].lstrip("[") for name in self.names])
        self.behaviour = self._behaviour()
        self.renames = self._renames()
        self.regressions = self._regressions()
        self.outages = self._outages()

    def _jobs(self) -> list[Job]:
        numbers = np.arange(SUITE_TESTS, dtype=np.uint64)
        serial = np.array(["conformance/serial" in name for name in self.names])
        share = 0.05 + 0.2 * uniforms(numbers, key_of(self.seed, "share"))
        home = (uniforms(numbers, key_of(self.seed, "home")) * _HOMES).astype(int)
        jobs: list[Job] = []
        for release in self.releases:
            for kind, variants in (("blocking", BLOCKING), ("informing", INFORMING)):
                for variant in variants:
                    name = f"periodic-ci-ciworld-release-master-nightly-{release}-{variant}"
                    drawn = uniforms(numbers, key_of(self.seed, "member", name))
                    # A serial job runs the serial tests; each test has a home among the first jobs: all run.
                    weight = np.where(serial, 3.0, 0.6) if variant.endswith("serial") else 1.0
                    member = (drawn < share * weight) | (home == len(jobs))
                    core = np.arange(len(self.names), len(self.names) + 3)
                    self.names += [
                        f"operator.Run multi-stage test {name} - {variant}-{step} container test"
                        for step in ("ipi-install-install", "e2e-test", "gather-must-gather")
                    ]
                    platform = next(p for p in PLATFORMS if f"-{p}" in variant)
                    tests = np.concatenate((np.flatnonzero(member), core))
                    board = f"ciworld-release-{release}-{kind}"
                    jobs.append(Job(len(jobs), name, board, release, platform, tests, core))
        return jobs

    def _behaviour(self) -> Behaviour:
        count = len(self.names)
        out = Behaviour(
            fail=np.full(count, BASE_FAILURE),
            flaky=np.zeros(count),
            begins=np.full(count, HISTORY_START.timestamp()),
            ends=np.full(count, HORIZON.timestamp()),
            platform=np.full(count, -1),
            skipped=uniforms(self.keys, key_of(self.seed, "skipped")) < 0.02,
        )
        order = np.argsort(uniforms(self.keys[:SUITE_TESTS], key_of(self.seed, "roles")))
        self._roles = order.tolist()
        for test in self._roles[:FLAKY_TESTS]:
            rng = Rng(self.seed, "flaky", test)
            out.fail[test] = round(0.004 + 0.08 * rng.uniform() ** 2, 4)
            out.flaky[test] = round(0.02 + 0.28 * rng.uniform() ** 2, 4)
            out.skipped[test] = False
            if rng.uniform() < 0.3:
                out.platform[test] = rng.below(len(PLATFORMS))
            if rng.uniform() < 0.3:
                begins = HISTORY_START + timedelta(days=int(rng.uniform(10, 300)))
                out.begins[test] = begins.timestamp()
                if rng.uniform() < 0.5:
                    out.ends[test] = (begins + timedelta(days=int(rng.uniform(15, 120)))).timestamp()
        return out

    def _renames(self) -> dict[int, Rename]:
        renames = {}
        for index, test in enumerate(self._roles[FLAKY_TESTS : FLAKY_TESTS + RENAMED_TESTS]):
            at = HISTORY_START + timedelta(
                days=12 + index * 9, hours=Rng(self.seed, "rename", test).below(24)
            )
            new = self.names[test].replace(" should ", " must ", 1)
            renames[test] = Rename(test, new, at)
        return renames

    def _regressions(self) -> list[Regression]:
        # Flaky and renamed tests are left out: a regression's tests have one name and one cause.
        plain = np.zeros(len(self.names), dtype=bool)
        plain[self._roles[FLAKY_TESTS + RENAMED_TESTS :]] = True
        plain &= ~self.behaviour.skipped
        found: list[Regression] = []
        start, number = HISTORY_START + timedelta(days=3), 0
        while start < HORIZON:
            rng = Rng(self.seed, "regression", number)
            jobs = self._scope(rng)
            pool = np.unique(np.concatenate([self.jobs[j].tests for j in jobs]))
            sig = list(_SIGS)[rng.below(len(_SIGS))]
            pool = pool[plain[pool] & (self.sigs[pool] == sig)].tolist()
            tests = frozenset(rng.pick(pool, 1 + int(24 * rng.uniform() ** 3)))
            begins = start.replace(minute=0) + timedelta(hours=rng.below(24))
            fix = begins + timedelta(hours=int(24 + 312 * rng.uniform() ** 2))
            affected = frozenset(j for j in jobs if tests & set(self.jobs[j].tests.tolist()))
            if tests:
                mask = np.zeros(len(self.names), dtype=bool)
                mask[list(tests)] = True
                text = f"{_REASONS[rng.below(len(_REASONS))]} (change {key_of(self.seed, number):016x})"
                chance = round(rng.uniform(0.85, 1.0), 3)
                found.append(Regression(len(found), begins, fix, tests, affected, chance, text, mask))
            start += timedelta(hours=int(rng.uniform(48, 120)))
            number += 1
        return found

    def _scope(self, rng: Rng) -> list[int]:
        kind, of = rng.uniform(), rng.below(60)
        if kind < 0.4:
            return [j.number for j in self.jobs if j.release == self.releases[of % len(self.releases)]]
        if kind < 0.75:
            return [j.number for j in self.jobs if j.platform == PLATFORMS[of % len(PLATFORMS)]]
        return [of % len(self.jobs)]

    def _outages(self) -> list[Outage]:
        found: list[Outage] = []
        start = HISTORY_START + timedelta(days=2)
        while start < HORIZON:
            rng = Rng(self.seed, "outage", len(found))
            begins = start.replace(minute=0) + timedelta(hours=rng.below(24))
            end = begins + timedelta(hours=3 + rng.below(10))
            index = rng.below(len(PLATFORMS) + 1)
            jobs = [j.number for j in self.jobs if index == len(PLATFORMS) or j.platform == PLATFORMS[index]]
            mode = "all_failing" if rng.uniform() < 0.3 else "mostly_missing"
            found.append(Outage(len(found), begins, end, frozenset(jobs), mode))
            start += timedelta(hours=int(rng.uniform(72, 240)))
        return found
