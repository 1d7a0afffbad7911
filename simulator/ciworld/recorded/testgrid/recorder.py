"""Recording a TestGrid into the folder layout that `ciworld serve --recorded` replays."""

import fnmatch
import gzip
import http.client
import io
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import orjson

from ciworld.payload import Json
from ciworld.recorded.base import MAX_FILE_BYTES
from ciworld.services.testgrid.grid import normalise

ATTEMPTS = 5
MIN_WAIT_SECONDS, MAX_WAIT_SECONDS = 0.5, 60.0
TIMEOUT_SECONDS = 120.0
SUMMARY = "summary"


class RecordingError(RuntimeError):
    """Raised when the service does not give what a recording needs."""


def record(
    address: str,
    pattern: str,
    out: Path,
    pause: float = 0.5,
    sleep: Callable[[float], None] = time.sleep,
) -> Json:
    """Write the summary and every table of the dashboards that match; return the counts of files written.

    One request at a time, `pause` seconds apart, and again later where the service wants it. A table that
    is not obtained is named on standard error and counted as missing; the next run of the command writes it.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        raise RecordingError(f"{address!r} is no http address")
    if pause < 0:
        raise RecordingError("the pause must not be negative")
    service = _Service(address.rstrip("/"), pause, sleep)
    listing = [str(entry["name"]) for entry in _entries(service.get("/api/v1/dashboards"))]
    names = sorted(fnmatch.filter(listing, pattern))
    if not names:
        raise RecordingError(f"no dashboard matches {pattern!r}: {address} lists {len(listing)} dashboards")
    counts = {"dashboards": 0, "tables": 0, "missing": 0}
    for name in names:
        if not _is_file_name(name):
            _log(f"{name!r}: cannot be the name of a folder, left out")
            counts["missing"] += 1
            continue
        _record_dashboard(service, name, out / name, counts)
    return counts


def _record_dashboard(service: "_Service", name: str, folder: Path, counts: dict[str, int]) -> None:
    path = f"/{quote(normalise(name))}"
    summary = service.get(f"{path}/summary")
    folder.mkdir(parents=True, exist_ok=True)
    for tab in summary:
        if not _is_file_name(tab) or tab == SUMMARY:
            _log(f"{name}: {tab!r}: cannot be the name of a file, left out")
            counts["missing"] += 1
            continue
        try:
            table = service.get(f"{path}/table?tab={quote(tab, safe='')}&show-stale-tests=")
        except RecordingError as error:
            _log(f"{name}: {tab}: missing ({error})")
            counts["missing"] += 1
            continue
        _write(folder / f"{tab}.json.gz", table)
        counts["tables"] += 1
    # The summary comes last: a folder without one is not taken for a recorded dashboard.
    _write(folder / f"{SUMMARY}.json.gz", summary)
    counts["dashboards"] += 1
    _log(f"{name}: recorded, {len(summary)} tabs")


class _Service:
    """A service that gets one request at a time."""

    def __init__(self, address: str, pause: float, sleep: Callable[[float], None]):
        self._address = address
        self._pause = pause
        self._sleep = sleep
        self._requested = False

    def get(self, path: str) -> Json:
        """Return the JSON object at a path; raise RecordingError when it cannot be had."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if self._requested:
                self._sleep(self._pause)
            self._requested = True
            request = urllib.request.Request(  # noqa: S310 - the scheme is checked before
                f"{self._address}{path}", headers={"Accept-Encoding": "gzip", "User-Agent": "ciworld-record"}
            )
            wait = max(self._pause, MIN_WAIT_SECONDS) * 2**attempt
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
                    return _object(
                        response.read(MAX_FILE_BYTES + 1), response.headers.get("Content-Encoding")
                    )
            except urllib.error.HTTPError as error:
                if error.code != 429 and error.code < 500:
                    raise RecordingError(f"{path}: HTTP {error.code}") from None
                reason = f"HTTP {error.code}"
                wait = max(wait, _seconds(error.headers.get("Retry-After")))
            except (OSError, http.client.HTTPException, ValueError, EOFError, zlib.error) as error:
                reason = f"{type(error).__name__}: {error}"
            if attempt + 1 < ATTEMPTS:
                self._sleep(min(wait, MAX_WAIT_SECONDS))
        raise RecordingError(f"{path}: {reason} after {ATTEMPTS} attempts")


def _object(raw: bytes, encoding: str | None) -> Json:
    text = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MAX_FILE_BYTES + 1) if encoding == "gzip" else raw
    if len(text) > MAX_FILE_BYTES:
        raise ValueError(f"more than {MAX_FILE_BYTES} bytes")
    doc = orjson.loads(text)
    if not isinstance(doc, dict):
        raise ValueError("not a JSON object")
    return doc


def _entries(listing: Json) -> list[Json]:
    entries = listing.get("dashboards")
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "name" in e for e in entries):
        raise RecordingError("/api/v1/dashboards: not a list of dashboards")
    return entries


def _seconds(header: str | None) -> float:
    return float(header) if header and header.replace(".", "", 1).isdecimal() else 0.0


def _is_file_name(name: str) -> bool:
    return bool(name) and not set(name) & set("/\\\0") and not name.startswith(".") and len(name) <= 200


def _write(path: Path, doc: Json) -> None:
    fresh = path.with_name(f".{path.name}.new")
    # Without a time stamp, so that the same content is the same file.
    fresh.write_bytes(gzip.compress(orjson.dumps(doc), mtime=0))
    fresh.replace(path)


def _log(message: str) -> None:
    sys.stderr.write(f"ciworld: {message}\n")
    sys.stderr.flush()
