"""The runs that a payload shows, as every source hands them to the build of the core tables.

Most sources read ``Run`` after ``Run`` and let ``decode_runs`` check and number them; one that shows very
many may make the Arrow batch itself.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa

from cilake.contracts.vocabulary.ci import FAILING, PASSING, RUNNING, TEST_STATUSES, VERDICT_NAME
from cilake.sources.keys import hash_job, hash_name, hash_run

FIRST_START = datetime(2014, 1, 1, tzinfo=UTC)
"""The earliest plausible start of a run, as ``core.ci_runs`` requires."""
CLOCK_SKEW = timedelta(days=1)
"""How far a start may lie after the reply: clocks differ, and so do zones taken for UTC."""
MAX_NAME = 10_000
"""Characters of a name or of an address."""
CODES = {status: code for code, status in enumerate(TEST_STATUSES, start=1)}
"""The number that stands for each status until a payload is decoded: a byte for a result; 0 is none."""
_VERDICT = re.compile(VERDICT_NAME)
_VERDICT_ENDS = ("Overall", "Pod")

RUNS = pa.schema(
    [
        ("ci_instance", pa.string()),
        ("job_key", pa.int64()),
        ("job_name", pa.string()),
        ("run_key", pa.int64()),
        ("build_id", pa.string()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("result_code", pa.int32()),
        ("run_url", pa.string()),
        ("result_count", pa.int64()),
        ("test_count", pa.int64()),
        ("passed_count", pa.int64()),
        ("failed_count", pa.int64()),
        ("flaky_count", pa.int64()),
        ("running_count", pa.int64()),
        ("content_hash", pa.string()),
        ("test_keys", pa.list_(pa.int64())),
        ("codes", pa.list_(pa.int32())),
        ("messages", pa.list_(pa.string())),
        ("test_names", pa.list_(pa.string())),
    ]
)
"""One row per run. ``test_names`` is null but on the first row of a table, which carries the names of all
tests and verdicts that have a result in any of its runs."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A column or a row of a table that is not read, and why: the first word of the reason is its kind.

    A row has a ``test_name``, which is empty where it is no text; a column has none.
    """

    reason: str
    build_id: str | None = None
    test_name: str | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a payload shows: its runs (schema ``RUNS``), and what of it was refused."""

    runs: pa.RecordBatch
    rejects: list[Reject]


@dataclass(frozen=True, slots=True)
class Result:
    """What a run says about a test; ``status`` is a word of ``TEST_STATUSES``."""

    test_name: str
    status: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a job as a source shows it; ``status`` is the verdict on the whole, ``None`` without any."""

    ci_instance: str
    job_name: str
    build_id: str
    started_at: datetime
    status: str | None
    url: str | None
    results: Sequence[Result]


def decode_runs(runs: Iterable[Run | Reject], *, served_at: datetime) -> Decoded:
    """Return the runs of a payload served at a moment, with keys, counts and a hash of their content.

    Refused are runs whose build, start, names or statuses cannot be, and builds that are shown twice.
    """
    found, rejects = [], []
    for run in runs:
        reason = None if isinstance(run, Reject) else _find_fault(run, served_at)
        if isinstance(run, Reject):
            rejects.append(run)
        elif reason:
            rejects.append(Reject(reason, build_id=run.build_id))
        else:
            found.append(run)
    times = Counter(hash_run(run.ci_instance, run.job_name, run.build_id) for run in found)
    kept = []
    for run in found:
        if (count := times[hash_run(run.ci_instance, run.job_name, run.build_id)]) > 1:
            rejects.append(Reject(f"repeated_build_id: {count} runs of this build", build_id=run.build_id))
        else:
            kept.append(run)
    rows = [_row_of(run) for run in kept]
    if rows:  # the first row names the tests of all
        names = dict.fromkeys(result.test_name for run in kept for result in run.results)
        rows[0]["test_names"] = list(names)
    return Decoded(pa.RecordBatch.from_pylist(rows, schema=RUNS), rejects)


def is_verdict(name: str) -> bool:
    """Return whether a row is a verdict of a run or of its pod, by its name alone (``VERDICT_NAME``)."""
    return name.endswith(_VERDICT_ENDS) and _VERDICT.search(name) is not None


def shorten(value: Any) -> str:
    """Return the value as a reason shows it: 200 characters at most, of a container the type alone."""
    text = type(value).__name__ if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _find_fault(run: Run, served_at: datetime) -> str | None:
    """Return why a run is refused, the kind first; ``None`` when it is not."""
    for kind, text in (("build_id", run.build_id), ("job_name", run.job_name)):
        if not text.strip() or len(text) > MAX_NAME:
            return f"no_{kind}: {shorten(text)}"
    if run.url is not None and len(run.url) > MAX_NAME:
        return f"address_too_long: more than {MAX_NAME:,} characters"
    if not FIRST_START <= run.started_at <= served_at + CLOCK_SKEW:
        return f"implausible_start: {run.started_at:%Y-%m-%d %H:%M} UTC"
    if run.status is not None and run.status not in CODES:
        return f"unknown_status: {shorten(run.status)}"
    keys: dict[int, str] = {}
    for result in run.results:
        if not result.test_name.strip() or len(result.test_name) > MAX_NAME:
            return f"blank_test_name: {shorten(result.test_name)}"
        if result.status not in CODES:
            return f"unknown_status: {shorten(result.status)} of test {shorten(result.test_name)}"
        holder = keys.setdefault(hash_name(result.test_name), result.test_name)
        if holder != result.test_name:
            return f"taken_test_key: {shorten(result.test_name)} has the key of {shorten(holder)}"
    if len(keys) < len(run.results):
        return "repeated_test_name: a test has two results in one run"
    return None


def _row_of(run: Run) -> dict[str, Any]:
    results = sorted(run.results, key=lambda result: result.test_name)
    statuses = [result.status for result in results if not is_verdict(result.test_name)]
    content = [run.started_at, run.status, run.url, [(r.test_name, r.status, r.message) for r in results]]
    return {
        "ci_instance": run.ci_instance,
        "job_key": hash_job(run.ci_instance, run.job_name),
        "job_name": run.job_name,
        "run_key": hash_run(run.ci_instance, run.job_name, run.build_id),
        "build_id": run.build_id,
        "started_at": run.started_at,
        "result_code": CODES[run.status] if run.status else None,
        "run_url": run.url,
        "result_count": len(results),
        "test_count": len(statuses),
        "passed_count": sum(status in PASSING for status in statuses),
        "failed_count": sum(status in FAILING for status in statuses),
        "flaky_count": statuses.count("flaky"),
        "running_count": statuses.count(RUNNING),
        "content_hash": hashlib.sha256(orjson.dumps(content)).hexdigest()[:24],
        "test_keys": [hash_name(result.test_name) for result in results],
        "codes": [CODES[result.status] for result in results],
        "messages": [result.message for result in results],
        "test_names": None,
    }
