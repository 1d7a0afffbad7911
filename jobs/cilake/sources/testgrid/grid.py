"""Tables of TestGrid as grids of one job: what is accepted of them, and what is refused with which reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cilake.contracts.ci_instances import find_instance
from cilake.sources.errors import UnreadableError
from cilake.sources.keys import hash_names, hash_run
from cilake.sources.runs import CLOCK_SKEW, CODES, FIRST_START, Reject, shorten
from cilake.sources.testgrid.cells import MAX_COLUMNS, Cells, read_cells
from cilake.sources.testgrid.codes import STATUSES

MAX_QUERY = 1_000
"""Characters of the location of a job's logs; the longest one recorded has 131."""
MAX_URL = 2_000
"""Characters of a page's address, made from a template for every run: without a bound a template of many
placeholders would be multiplied by the number of columns."""
CUT_TO_SIZE = re.compile(r"\d byte grid exceeds maximum size of \d+ bytes")
"""What TestGrid writes into all cells of the oldest column that it keeps when it cuts a grid (code 6).

It looks at the last digit of the number alone: searching for all of them would begin again at each digit.
"""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of one job: its accepted columns (newest first) and rows, and the cells that hold a result."""

    ci_instance: str
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


def read_grid(document: dict[str, Any], served_at: datetime) -> Grid:
    """Return the grid of a table served at a moment.

    Raises:
        UnreadableError: when it is no table of one job, or a row does not cover the columns exactly. Other
            errors may come from values of types that nobody expects.

    """
    builds, timestamps, tests = (_list(document, key) for key in ("changelists", "timestamps", "tests"))
    columns = len(timestamps)
    if len(builds) != columns:
        raise UnreadableError(f"not_a_table: {len(builds)} builds for {columns} columns")
    if columns > MAX_COLUMNS:
        raise UnreadableError(f"too_large: {columns:,} columns, more than {MAX_COLUMNS:,}")
    query = document["query"]
    if type(query) is not str or len(query) > MAX_QUERY:
        raise UnreadableError(f"not_a_table: no location of a job's logs: {shorten(query)}")
    query = query.removeprefix("gs://")  # some configurations write it; the bucket and its job are the same
    job_name = _job_of(query)
    ci_instance = find_instance(query.partition("/")[0])
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
        refused_rows.setdefault(row, f"unknown_status: a code that is not in 0..{max(STATUSES)}")
    messages = _read_messages(message_lists, refused_rows)
    run_keys = hash_builds(ci_instance, job_name, builds)
    refused = _check_columns(builds, timestamps, urls, run_keys, served_at, has_pages=bool(template))
    for column, message in _cut_columns(cells, messages).items():
        refused.setdefault(
            column, f"cut_to_size: the source left out the results of the run: {shorten(message)}"
        )
    rejects = [Reject(reason, build_id=_text(builds[column])) for column, reason in sorted(refused.items())]
    rejects += [
        Reject(reason, test_name=_text(names[row]) or "") for row, reason in sorted(refused_rows.items())
    ]
    accepted = [column for column in range(columns) if column not in refused]
    if rejects:
        cells = _leave_out(cells, refused_rows, accepted, len(tests), columns)
    return Grid(
        ci_instance=ci_instance,
        job_name=job_name,
        builds=[builds[column] for column in accepted],
        urls=[urls[column] for column in accepted],
        started_ms=np.array([timestamps[column] for column in accepted], dtype=np.int64),
        tests=["" if row in refused_rows else name for row, name in enumerate(names)],
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


def _job_of(query: str) -> str:
    """Return the job whose logs are at the location that ``query`` names."""
    if "," in query:
        jobs = ", ".join(_job_name(part.strip()) for part in query.split(","))
        # The columns do not say whose they are: a build may have no result but in rows that jobs share.
        raise UnreadableError(f"several_jobs: the tab shows the builds of {jobs}")
    if not (name := _job_name(query)).strip():
        raise UnreadableError(f"not_a_table: no job in {query!r}")
    return name


def _job_name(location: str) -> str:
    return location.rstrip("/").rpartition("/")[2]


def _run_urls(template: Any, query: str, builds: list[Any]) -> list[str | None]:
    """Return the page of each build, ``None`` where there is no template or the address would be too long."""
    if not template:
        return [None] * len(builds)
    if type(template) is not str or len(template) > MAX_URL:
        raise UnreadableError(f"not_a_table: no template of addresses: {shorten(template)}")
    of_job = template.replace("<gcs_prefix>", query)
    placeholders = of_job.count("<changelist>")
    return [
        of_job.replace("<changelist>", build)
        if type(build) is str and len(of_job) + placeholders * len(build) <= MAX_URL
        else None
        for build in builds
    ]


def hash_builds(ci_instance: str, job_name: str, builds: list[Any]) -> list[int | None]:
    """Return the key of the run of each build of a job, ``None`` where a build is no text."""
    return [hash_run(ci_instance, job_name, build) if type(build) is str else None for build in builds]


def _check_names(names: list[Any]) -> tuple[np.ndarray, dict[int, str]]:
    """Return the keys of the names, and the rows whose name is none, repeated or has another one's key."""
    refused: dict[int, str] = {}
    for row, name in enumerate(names):
        if type(name) is not str:
            refused[row] = f"test_name_no_text: {shorten(name)}"
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
            refused[row] = f"taken_test_key: {key} is the key of {shorten(holders[key])}"
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
            refused[column] = f"build_id_no_text: {shorten(build)}"
        elif not build.strip():
            refused[column] = f"blank_build_id: {build!r}"
        elif columns_of_key[key] > 1:
            refused[column] = f"repeated_build_id: {columns_of_key[key]} columns of build {shorten(build)}"
        elif type(start) is float and not start.is_integer():
            # TestGrid dates a build without a start like the column before it plus 0.01 ms.
            refused[column] = f"start_not_known: {start} is the source's own guess"
        elif type(start) not in (int, float):
            refused[column] = f"no_start: {shorten(start)}"
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
    doubtful = cells.only(cells.codes == CODES["unknown"])
    texts = messages.take(pa.array(doubtful.messages)).to_pylist()
    return {
        column: text
        for column, text in zip(doubtful.columns.tolist(), texts, strict=True)
        if text and CUT_TO_SIZE.search(text)
    }


def _leave_out(
    cells: Cells, refused_rows: dict[int, str], accepted: list[int], rows: int, columns: int
) -> Cells:
    """Return the cells of the accepted rows and columns, the latter renumbered."""
    is_row = np.ones(rows, bool)
    is_row[list(refused_rows)] = False
    is_column = np.zeros(columns, bool)
    is_column[accepted] = True
    numbers = (np.cumsum(is_column) - 1).astype(np.uint16)
    return cells.only(is_row[cells.rows] & is_column[cells.columns]).renumbered(numbers)
