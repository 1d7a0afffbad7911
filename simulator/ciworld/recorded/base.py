"""What a layout of recordings offers, and the bounded reading of their files."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from ciworld.clock import Span
from ciworld.payload import Json
from ciworld.services.base import Service

MAX_FILE_BYTES = 512 * 1024 * 1024


class RecordedError(ValueError):
    """Raised when a folder or file of a recording cannot be served."""


@dataclass(frozen=True)
class Recording:
    """What was found of one service below a folder."""

    service: Service
    span: Callable[[], Span | None]
    """Returns the first and the last day with a run, or None when no file that can be read has one."""


@dataclass(frozen=True)
class Layout:
    """How recordings of one service are laid out in folders."""

    needs: str
    """What a folder must have to be a recording of this layout, as a noun phrase without an article."""
    find: Callable[[Path], Recording | None]
    """Returns the recording below a folder, or None when there is none of this layout."""


def read_json(path: Path) -> Json:
    """Return the JSON object of a gzip file, bounded in size; anything else is a RecordedError."""
    try:
        with gzip.open(path) as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
        doc = orjson.loads(raw) if len(raw) <= MAX_FILE_BYTES else None
    except (OSError, EOFError, orjson.JSONDecodeError) as error:
        raise RecordedError(f"{path}: {error}") from error
    if not isinstance(doc, dict):
        raise RecordedError(f"{path}: not a JSON object of at most {MAX_FILE_BYTES} bytes")
    return doc
