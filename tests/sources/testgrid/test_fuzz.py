"""Payloads that nobody foresaw: read, or refused with a reason; never another error, never much memory.

``CILAKE_FUZZ_PAYLOADS`` sets how many are tried, 2,000 without it.
"""

import gzip
import os
import random
import resource
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.grids import dump, make_table

from cilake.sources.errors import UnreadableError
from cilake.sources.payload import content_digest, parse_object
from cilake.sources.testgrid import parse

RECORDED = Path(__file__).parents[4] / "shared/data/testgrid-openshift/historical"
PAYLOADS = int(os.environ.get("CILAKE_FUZZ_PAYLOADS", "2000"))
MAX_BYTES = 600_000_000
"""By how much the process may grow over all payloads of a test, each of them below 300 kB."""
SERVED = datetime(2022, 1, 1, tzinfo=UTC)

COLUMNS = {"run_key", "job_key", "build_id", "started_at", "content_hash", "test_keys", "codes", "messages"}
WORDS = ["Overall", "Pod", "", " ", "e2e-aws-4.8.Overall", "a,b", "\x00", "é" * 40, "9" * 400, "<changelist>"]
NUMBERS = [-1, 0, 1, 2, 3, 6, 12, 15, 16, 255, 2**31, 2**63, 2**64, 0.5, -0.0, 1e300, 1624276800000, 9e15]


def read(payload):
    """How a payload ends: the number of runs and rejects, or the reason. Anything else is a fault."""
    try:
        document = parse_object(payload)
        assert len(content_digest(document, volatile=parse.VOLATILE)) == 64
        decoded = parse.read_table(document, served_at=SERVED)
    except UnreadableError as error:
        assert str(error).partition(":")[0].isidentifier() and len(str(error)) < 20_000
        return str(error)
    check(decoded)
    return len(decoded.runs), len(decoded.rejects)


def check(decoded):
    """What holds for everything that was read."""
    decoded.runs.validate(full=True)
    runs = pa.Table.from_batches([decoded.runs])
    assert all(runs[name].null_count == 0 for name in COLUMNS)
    rows = runs.drop_columns(["messages"]).to_pylist()
    assert len({row["run_key"] for row in rows}) == len(rows)
    for row in rows:
        assert row["build_id"].strip() and 2014 <= row["started_at"].year <= 2022
        assert row["result_count"] == len(row["test_keys"]) == len(set(row["test_keys"]))
        assert all(1 <= code <= 15 for code in row["codes"])
        ended = row["passed_count"] + row["failed_count"] + row["flaky_count"] + row["running_count"]
        assert ended <= row["test_count"] <= row["result_count"]
    assert all(reject.reason for reject in decoded.rejects)


@pytest.fixture(autouse=True)
def memory_is_bounded():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MAX_BYTES


# The few of every day are the same each time; the many of a soak are others each time.
tried = settings(
    max_examples=max(1, PAYLOADS // 4),
    deadline=None,
    database=None,
    derandomize=PAYLOADS <= 2000,
    suppress_health_check=list(HealthCheck),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.text(max_size=9)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)
stretch = st.fixed_dictionaries(
    {"count": st.integers(-1, 4) | scalars, "value": st.integers(0, 16) | scalars}
)
row = st.fixed_dictionaries(
    {
        "name": st.sampled_from(WORDS) | scalars,
        "statuses": st.lists(stretch, max_size=4) | anything,
        "messages": st.lists(st.just("") | scalars, max_size=5) | anything,
    }
)
table = st.fixed_dictionaries(
    {
        "query": st.sampled_from(["bucket/logs/job", "a,b", ""]) | anything,
        "changelists": st.lists(st.sampled_from(WORDS) | scalars, max_size=4) | anything,
        "timestamps": st.lists(st.sampled_from(NUMBERS) | scalars, max_size=4) | anything,
        "tests": st.lists(row | anything, max_size=4) | anything,
    },
    optional={
        "open-test-template": anything | st.fixed_dictionaries({"url": st.sampled_from(WORDS) | anything})
    },
)


@tried
@given(table | anything)
def test_invented_documents(document):
    try:
        payload = orjson.dumps(document)
    except TypeError:  # a number of more than 64 bits is written as no other JSON writer would
        payload = repr(document).encode()
    read(payload)


@tried
@given(st.binary(max_size=200))
def test_invented_bytes(payload):
    read(payload)


def test_broken_tables():
    """Tables of ours and, where they are, recorded ones, each with a few of its values or bytes changed."""
    rng = random.Random(13)
    originals = [dump(make_table({"Overall": [1, 12, 1], "a": [0, 12, 1], "b": [13, 0, 4]})), *recorded()]
    endings = {"read": 0, "refused": 0}
    for _ in range(PAYLOADS // 2):
        original = rng.choice(originals)
        payload = break_bytes(original, rng) if rng.random() < 0.4 else break_values(original, rng)
        endings["refused" if isinstance(read(payload), str) else "read"] += 1
    assert min(endings.values()) > PAYLOADS // 50, "both endings are met often"


def recorded():
    """The smaller recorded tables, few enough to be quick."""
    found = sorted(RECORDED.glob("*/*/*.json.gz"), key=lambda path: path.stat().st_size)
    tables = [path for path in found if path.name != "summary.json.gz" and 3000 < path.stat().st_size < 9000]
    return [gzip.decompress(path.read_bytes()) for path in tables[:12]]


def break_bytes(payload, rng):
    """The payload cut, or with some bytes exchanged, left out or doubled."""
    broken = bytearray(payload)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(broken))
        match rng.randrange(4):
            case 0:
                broken[at] = rng.randrange(256)
            case 1:
                del broken[at : at + rng.randint(1, 40)]
            case 2:
                broken[at:at] = broken[at : at + rng.randint(1, 40)]
            case _:
                broken[at:at] = rng.choice([b"[", b"{", b'"', b"0", b"-", b",", b"\xff", b"[" * 300])
        if not broken:
            break
    return bytes(broken)


def break_values(payload, rng):
    """The payload with some values replaced, left out or repeated, at places of all depths."""
    document = orjson.loads(payload)
    for _ in range(rng.randint(1, 3)):
        parent, key = document, rng.choice([*document, "tests", "changelists", "timestamps", "query"])
        while rng.random() < 0.75 and isinstance(inner := parent[key], dict | list) and inner:
            parent, key = inner, rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        match rng.randrange(4):
            case 0 if isinstance(parent, dict) and len(parent) > 1 and parent is not document:
                del parent[key]
            case 1 if isinstance(parent, list):
                parent.insert(key, parent[rng.randrange(len(parent))])
            case 2:
                parent[key] = rng.choice([None, True, [], {}, [[]], {"a": 1}, [1, "x"], "x" * 3000])
            case _:
                parent[key] = rng.choice([*NUMBERS[:11], 0.5, 1e300, *WORDS])
    return orjson.dumps(document)
