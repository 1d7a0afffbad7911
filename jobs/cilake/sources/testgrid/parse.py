"""Payloads of TestGrid read strictly: the runs that a table holds, and what of it is refused.

Format: legacy JSON of the TestGrid front end. A row is run-length encoded, newest column first; messages
have one entry per cell whose code is not 0.

The landing and Spark read with the same functions, so what is landed can be decoded. A payload that is no
table raises ``UnreadableError``; one odd column or row is refused with its reason, and the rest is read.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cilake.contracts.columns import FAILING, PASSING, TEST_STATUSES, VERDICT_NAME
from cilake.sources.testgrid.cells import MAX_COLUMNS, Cells, read_cells
from cilake.sources.testgrid.errors import UnreadableError
from cilake.sources.testgrid.keys import hash_name, hash_names, mix

DECODER_VERSION = 2
"""Raised whenever this module reads the same payload differently; part of the identity of what it reads."""

# They differ in every reply, whatever the grid does.
VOLATILE = ("status", "phase-timer", "cached")
CI_SYSTEM = "prow"

MAX_VALUES = 8_000_000
"""Values in a payload, ten times those of the largest recorded: as Python objects 1 GB at most."""
FIRST_START = datetime(2014, 1, 1, tzinfo=UTC)
"""The earliest plausible start of a run, as ``core.ci_runs`` requires: TestGrid shows no older system."""
CLOCK_SKEW = timedelta(days=1)
"""How far a start may lie after the reply: clocks differ, and so do zones taken for UTC."""
MAX_QUERY = 1_000
"""Characters of the place of a job's logs; the longest one recorded has 131."""
MAX_URL = 2_000
"""Characters of a page's address, made from a template for every run: without a bound a template of many
placeholders would be multiplied by the number of columns."""
CUT_TO_SIZE = re.compile(r"\d+ byte grid exceeds maximum size of \d+ bytes")
"""What TestGrid writes into all cells of the oldest column that it keeps when it cuts a grid (code 6)."""

_VERDICT = re.compile(VERDICT_NAME)
_VERDICT_ENDS = ("Overall", "Pod")
_PASSING = np.array([TEST_STATUSES.get(code) in PASSING for code in range(16)])
_FAILING = np.array([TEST_STATUSES.get(code) in FAILING for code in range(16)])
_FLAKY, _RUNNING, _UNKNOWN = 13, 4, 6

RUNS = pa.schema(
    [
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
    """A column or a row of a table that is not read, and why: the first word of the reason is its kind."""

    reason: str
    build_id: str | None = None
    test_name: str | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a table holds: its runs (schema ``RUNS``), and what of it was refused."""

    runs: pa.RecordBatch
    rejects: list[Reject]


@contextmanager
def collector_paused() -> Iterator[None]:
    """A stretch without Python's cyclic collector.

    Parsed JSON holds no cycles but millions of objects that the collector would walk again and again:
    with it, reading takes twice as long.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def parse_object(payload: bytes | memoryview) -> dict[str, Any]:
    """Return the JSON object in a payload.

    Raises:
        UnreadableError: when there is none, or more values than can be held in memory.

    """
    # A value takes at least a byte: nearly all payloads are too short to hold too many.
    if len(payload) > MAX_VALUES and (count := _count_values(bytes(payload))) > MAX_VALUES:
        raise UnreadableError(f"too_large: up to {count:,} values, more than {MAX_VALUES:,}")
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise UnreadableError(f"malformed_json: {error}") from None
    if not isinstance(document, dict):
        raise UnreadableError(f"not_an_object: {type(document).__name__}")
    return document


def _count_values(payload: bytes) -> int:
    """Return the most values that the payload can hold: each but one follows a comma or opens a container."""
    return 1 + sum(map(payload.count, (b",", b"[", b"{")))


def content_digest(document: dict[str, Any]) -> str:
    """Return the SHA-256 of a table without what changes on every request, hex.

    Raises:
        UnreadableError: when the document is nested deeper than can be written again (254 levels; a table
            has 6).

    """
    kept = {key: value for key, value in document.items() if key not in VOLATILE}
    try:
        return hashlib.sha256(orjson.dumps(kept)).hexdigest()
    except (TypeError, RecursionError) as error:
        raise UnreadableError(f"too_deep: {error}") from None


def read_tabs(summary: dict[str, Any]) -> list[str]:
    """Return the tabs that a dashboard's summary lists.

    Raises:
        UnreadableError: when an entry is no object.

    """
    for tab, entry in summary.items():
        if not isinstance(entry, dict):
            raise UnreadableError(f"not_a_summary: tab {_cut(tab)} holds {type(entry).__name__}")
    return list(summary)


def read_table(document: dict[str, Any], *, served_at: datetime) -> Decoded:
    """Return the runs of a table served at a moment, and its columns and rows that are refused.

    Raises:
        UnreadableError: when it is no table of one job: a key is missing or of another type, or a row does
            not cover the columns exactly.

    """
    try:
        return _read_runs(_read_grid(document, served_at))
    except UnreadableError:
        raise
    except Exception as error:
        # Whatever a payload can raise concerns this payload alone; it is kept with the reason.
        raise UnreadableError(f"not_a_table: {type(error).__name__}: {str(error)[:200]}") from error


@dataclass(frozen=True, slots=True)
class _Grid:
    """A table of one job: its accepted columns (newest first) and rows, and the cells that hold a result."""

    job_name: str
    builds: list[str]
    urls: list[str | None]
    started_ms: np.ndarray
    tests: list[str]
    """The name of each row, empty where it is refused."""
    keys: np.ndarray
    cells: Cells
    messages: pa.Array
    rejects: list[Reject]


def _read_grid(document: dict[str, Any], served_at: datetime) -> _Grid:
    builds, timestamps, tests = (_list(document, key) for key in ("changelists", "timestamps", "tests"))
    columns = len(timestamps)
    if len(builds) != columns:
        raise UnreadableError(f"not_a_table: {len(builds)} builds for {columns} columns")
    if columns > MAX_COLUMNS:
        raise UnreadableError(f"too_large: {columns:,} columns, more than {MAX_COLUMNS:,}")
    query = document["query"]
    job_name = _job_of(query)
    template = (document.get("open-test-template") or {}).get("url")
    urls = _run_urls(template, query, builds)
    names = [row.get("name") for row in tests]
    keys, refused_rows = _check_names(names)
    encoded, message_lists = (list(map(itemgetter(key), tests)) for key in ("statuses", "messages"))
    if not set(map(type, chain(encoded, message_lists))) <= {list}:
        raise UnreadableError("not_a_table: statuses or messages of a row are no list")
    message_counts = np.fromiter(map(len, message_lists), np.int64, len(message_lists))
    cells, unknown = read_cells(encoded, message_counts, columns)
    for row in unknown:
        refused_rows.setdefault(row, f"unknown_status: a code that is not in 0..{max(TEST_STATUSES)}")
    messages = _read_messages(message_lists, refused_rows)
    run_keys = _hash_builds(job_name, builds)
    refused = _check_columns(builds, timestamps, urls, run_keys, served_at, has_pages=bool(template))
    for column, message in _cut_columns(cells, messages).items():
        refused.setdefault(column, f"cut_to_size: the source left out the results of the run: {message}")
    rejects = [Reject(reason, build_id=_text(builds[column])) for column, reason in sorted(refused.items())]
    rejects += [Reject(reason, test_name=_text(names[row])) for row, reason in sorted(refused_rows.items())]
    accepted = [column for column in range(columns) if column not in refused]
    if rejects:
        cells = _leave_out(cells, refused_rows, accepted, len(tests), columns)
    return _Grid(
        job_name=job_name,
        builds=[builds[column] for column in accepted],
        urls=[urls[column] for column in accepted],
        started_ms=np.array([timestamps[column] for column in accepted], dtype=np.int64),
        tests=["" if row in refused_rows else name for row, name in enumerate(names)]
        if refused_rows
        else names,
        keys=keys,
        cells=cells,
        messages=messages,
        rejects=rejects,
    )


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document[key]
    if type(value) is not list:
        raise UnreadableError(f"not_a_table: {key} is no list")
    return value


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _job_of(query: Any) -> str:
    """Return the job whose logs are at the place that ``query`` names."""
    if type(query) is not str or len(query) > MAX_QUERY:
        raise UnreadableError(f"not_a_table: no place of a job's logs: {_cut(query)}")
    if "," in query:
        jobs = ", ".join(_job_name(part) for part in query.split(","))
        # The columns do not say whose they are: a build may have no result but in rows that jobs share.
        raise UnreadableError(f"several_jobs: the tab shows the builds of {jobs}")
    if not (name := _job_name(query)):
        raise UnreadableError(f"not_a_table: no job in {query!r}")
    return name


def _job_name(place: str) -> str:
    return place.strip().rstrip("/").rpartition("/")[2].strip()


def _run_urls(template: Any, query: str, builds: list[Any]) -> list[str | None]:
    """Return the page of each build, ``None`` where there is no template or the address would be too long."""
    if not template:
        return [None] * len(builds)
    if type(template) is not str or len(template) > MAX_URL:
        raise UnreadableError(f"not_a_table: no template of addresses: {_cut(template)}")
    of_job = template.replace("<gcs_prefix>", query)
    places = of_job.count("<changelist>")
    return [
        of_job.replace("<changelist>", build)
        if type(build) is str and len(of_job) + places * len(build) <= MAX_URL
        else None
        for build in builds
    ]


def _hash_builds(job_name: str, builds: list[Any]) -> list[int | None]:
    """Return the key of the run of each build of a job, ``None`` where a build is no text."""
    return [
        hash_name(f"{CI_SYSTEM}\x1f{job_name}\x1f{build}") if type(build) is str else None for build in builds
    ]


def _check_names(names: list[Any]) -> tuple[np.ndarray, dict[int, str]]:
    """Return the keys of the names, and the rows whose name is none, repeated or has another one's key."""
    refused: dict[int, str] = {}
    for row, name in enumerate(names):
        if type(name) is not str:
            refused[row] = f"test_name_no_text: {_cut(name)}"
        elif not name.strip():
            refused[row] = f"blank_test_name: {name!r}"
    keys = hash_names(
        [name if row not in refused else "" for row, name in enumerate(names)] if refused else names
    )
    if len(np.unique(keys)) == len(names):
        return keys, refused
    good = [(int(keys[row]), name, row) for row, name in enumerate(names) if row not in refused]
    times = Counter(name for _, name, _ in good)
    holders: dict[int, str] = {}
    for key, name, row in sorted(good):
        if times[name] > 1:
            refused[row] = f"repeated_test_name: {times[name]} rows"
        # Of two names with one key the first by the alphabet keeps it, whatever their order in the table.
        elif holders.setdefault(key, name) != name:
            refused[row] = f"taken_test_key: {key} is the key of {_cut(holders[key])}"
    return keys, refused


def _check_columns(
    builds: list[Any],
    timestamps: list[Any],
    urls: list[str | None],
    run_keys: list[int | None],
    served_at: datetime,
    *,
    has_pages: bool,
) -> dict[int, str]:
    """Return why columns are refused: without a build or a plausible start, or not alone with their build."""
    earliest, latest = FIRST_START.timestamp() * 1000, (served_at + CLOCK_SKEW).timestamp() * 1000
    columns_of_key = Counter(run_keys)
    refused: dict[int, str] = {}
    for column, (build, start, url, key) in enumerate(zip(builds, timestamps, urls, run_keys, strict=True)):
        if type(build) is not str:
            refused[column] = f"build_id_no_text: {_cut(build)}"
        elif not build.strip():
            refused[column] = f"blank_build_id: {build!r}"
        elif columns_of_key[key] > 1:
            refused[column] = f"repeated_build_id: {columns_of_key[key]} columns of build {_cut(build)}"
        elif type(start) is float and not start.is_integer():
            # TestGrid dates a build without a start like the column before it plus 0.01 ms.
            refused[column] = f"start_not_known: {start} is the source's own guess"
        elif type(start) not in (int, float):
            refused[column] = f"no_start: {_cut(start)}"
        elif not earliest <= start <= latest:
            refused[column] = f"implausible_start: {start} ms is not between {earliest:.0f} and {latest:.0f}"
        elif has_pages and url is None:
            refused[column] = f"address_too_long: more than {MAX_URL} characters"
    return refused


def _read_messages(message_lists: Sequence[list[Any]], refused_rows: dict[int, str]) -> pa.Array:
    """Return all messages, null where empty; rows with one that is no text are added to the refused ones."""
    flat = list(chain.from_iterable(message_lists))
    try:
        messages = pa.array(flat, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        messages = None
    if messages is None or messages.null_count:
        for row, texts in enumerate(message_lists):
            if not set(map(type, texts)) <= {str}:
                refused_rows.setdefault(row, "message_no_text: a message of another type")
        messages = pa.array([text if type(text) is str else "" for text in flat], pa.string())
    return pc.if_else(pc.equal(messages, ""), pa.scalar(None, pa.string()), messages)


def _cut_columns(cells: Cells, messages: pa.Array) -> dict[int, str]:
    """Return the columns whose results the source replaced when it cut the grid, with its message."""
    doubtful = cells.only(cells.codes == _UNKNOWN)
    texts = messages.take(pa.array(doubtful.messages)).to_pylist()
    return {
        column: text
        for column, text in zip(doubtful.columns.tolist(), texts, strict=True)
        if text and CUT_TO_SIZE.search(text)
    }


def _leave_out(
    cells: Cells, refused_rows: dict[int, str], accepted: list[int], rows: int, columns: int
) -> Cells:
    """Return the cells of the accepted rows and columns, the latter numbered anew."""
    is_row = np.ones(rows, bool)
    is_row[list(refused_rows)] = False
    is_column = np.zeros(columns, bool)
    is_column[accepted] = True
    numbers = (np.cumsum(is_column) - 1).astype(np.uint16)
    return cells.only(is_row[cells.rows] & is_column[cells.columns]).renumbered(numbers)


def _read_runs(grid: _Grid) -> Decoded:
    """Return the runs of a grid, one row each, with their results as arrays (schema ``RUNS``).

    A run whose cells are all empty is a row with empty arrays.
    """
    columns = len(grid.builds)
    cells = grid.cells.by_column()
    sizes = np.bincount(cells.columns, minlength=columns)
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    cell_keys = grid.keys[cells.rows]
    messages = grid.messages.take(pa.array(cells.messages))
    is_test = np.fromiter((not is_verdict(name) for name in grid.tests), bool, len(grid.tests))
    of_test = is_test[cells.rows]

    def lists(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets), values)

    def count_tests(mask: np.ndarray) -> np.ndarray:
        return np.bincount(cells.columns[of_test & mask], minlength=columns)

    verdicts = _read_verdicts(grid)
    values = {
        "job_key": pa.array([hash_name(f"{CI_SYSTEM}\x1f{grid.job_name}")] * columns, pa.int64()),
        "job_name": pa.array([grid.job_name] * columns, pa.string()),
        "run_key": pa.array(_hash_builds(grid.job_name, grid.builds), pa.int64()),
        "build_id": pa.array(grid.builds, pa.string()),
        "started_at": pa.array(grid.started_ms * 1000).cast(RUNS.field("started_at").type),
        "result_code": pa.array(verdicts, mask=verdicts == 0),
        "run_url": pa.array(grid.urls, pa.string()),
        "result_count": pa.array(sizes),
        "test_count": pa.array(np.bincount(cells.columns[of_test], minlength=columns)),
        "passed_count": pa.array(count_tests(_PASSING[cells.codes])),
        "failed_count": pa.array(count_tests(_FAILING[cells.codes])),
        "flaky_count": pa.array(count_tests(cells.codes == _FLAKY)),
        "running_count": pa.array(count_tests(cells.codes == _RUNNING)),
        "content_hash": pa.array(_hash_columns(grid, cell_keys, cells.codes, messages, offsets)),
        "test_keys": lists(pa.array(cell_keys)),
        "codes": lists(pa.array(cells.codes.astype(np.int32))),
        "messages": lists(messages),
        "test_names": _names_of(grid),
    }
    return Decoded(pa.RecordBatch.from_pydict(values, schema=RUNS), grid.rejects)


def is_verdict(name: str) -> bool:
    """Return whether a row is a verdict of a run or of its pod, by its name alone (``VERDICT_NAME``)."""
    return name.endswith(_VERDICT_ENDS) and _VERDICT.search(name) is not None


def _read_verdicts(grid: _Grid) -> np.ndarray:
    """Return the code of each run's own verdict, 0 where there is none.

    It stands in the row ``Overall``, or ``<job>.Overall`` where that one has no result. Another job's verdict
    is none of this run.
    """
    verdicts = np.zeros(len(grid.builds), np.int32)
    for name in (f"{grid.job_name}.Overall", "Overall"):
        if name in grid.tests:
            cells = grid.cells.of_row(grid.tests.index(name))
            verdicts[cells.columns] = cells.codes
    return verdicts


def _names_of(grid: _Grid) -> pa.Array:
    """Return for each run null, but for the first one the names of all rows that have a result in any run."""
    has_result = np.bincount(grid.cells.rows, minlength=len(grid.tests)) > 0
    names = [grid.tests[row] for row in np.flatnonzero(has_result)]
    return pa.array([names, *[None] * len(grid.builds)][: len(grid.builds)], RUNS.field("test_names").type)


def _hash_columns(
    grid: _Grid, keys: np.ndarray, codes: np.ndarray, messages: pa.Array, offsets: np.ndarray
) -> list[str]:
    """Return one hash per run over its start, its page and its cells; the order of the rows does not matter.

    Cells are mixed (splitmix64) and summed, so one changed status or message changes the hash; messages
    are hashed only where there is one. The page counts: a run whose logs moved to another bucket has a new
    content, or its old address would stay for ever.
    """
    mixed = mix(keys.view(np.uint64) + codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    filled = np.flatnonzero(np.asarray(messages.is_valid()))
    if len(filled):
        texts = messages.take(pa.array(filled)).to_pylist()
        mixed[filled] += mix(hash_names(texts).view(np.uint64) ^ mixed[filled])
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    totals = sums[offsets[1:]] - sums[offsets[:-1]]
    totals = mix(totals ^ mix(grid.started_ms.view(np.uint64)))
    pages = hash_names([url or "" for url in grid.urls]).view(np.uint64)
    totals = mix(totals + pages)
    return [
        f"{total:016x}{size:08x}"
        for total, size in zip(totals.tolist(), np.diff(offsets).tolist(), strict=True)
    ]
