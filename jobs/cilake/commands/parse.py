"""``cilake parse``: how payloads in files would be read, without a lake."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cilake.errors import PermanentError
from cilake.sources.errors import odd_payload
from cilake.sources.registry import source as find_source

MAX_BYTES = 512 * 1024 * 1024
GZIP = b"\x1f\x8b"


class FileError(PermanentError):
    """A file that cannot be read as a payload."""


def parse_files(source: str, files: Sequence[Path]) -> None:
    """Print for each file one JSON line: what the source's decoder makes of it, ``status`` and ``reason``.

    Raises:
        FileError: when a file cannot be read, or, after all are reported, when a payload is rejected.

    """
    describe = find_source(source).describe
    rejected = 0
    for path in files:
        payload = _read(path)
        try:
            described = describe(payload)
        except Exception as error:  # whatever a payload can raise is a fact about this payload
            described = {"status": "rejected", "reason": odd_payload(error)}
        line = {"file": str(path), **described}
        sys.stdout.write(json.dumps(line, default=str) + "\n")
        rejected += described.get("status") == "rejected"
    if rejected:
        sys.stdout.flush()
        raise FileError(f"{rejected} of {len(files)} payloads would be rejected")


def _read(path: Path) -> bytes:
    """Return the payload in a file, which may be compressed by gzip."""
    try:
        with path.open("rb") as file:
            is_compressed = file.read(2) == GZIP
        with gzip.open(path) if is_compressed else path.open("rb") as stream:
            payload: bytes = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError) as error:
        raise FileError(f"cannot read {path}: {error}") from error
    if len(payload) > MAX_BYTES:
        raise FileError(f"{path} holds more than {MAX_BYTES:,} bytes")
    return payload
