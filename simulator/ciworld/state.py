"""The state file: clock and planned faults of a server, so that a killed server goes on where it was."""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from ciworld.clock import Clock, iso, parse_instant
from ciworld.faults import Fault, Faults, restore_fault
from ciworld.payload import Json

FORMAT = 1
MAX_BYTES = 4 * 1024 * 1024


class StateError(RuntimeError):
    """Raised when the state file cannot be opened, written or replaced."""


@dataclass(frozen=True)
class State:
    """The clock (None when it is off) and the planned faults, as last written."""

    as_of: datetime | None
    faults: list[Fault]


class StateFile:
    """The state of one world in a file that is replaced as a whole."""

    def __init__(self, path: Path, world: Json, log: Callable[[str], None] | None = None):
        self._path = path
        self._world = world
        self._log = log or _log
        self._lock = threading.Lock()

    def read(self) -> State | None:
        """Return the state of this world, or None and a logged reason; unreadable files are moved aside."""
        try:
            with self._path.open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"cannot read the state file {self._path}: {error.strerror}") from error
        try:
            doc = _parse(raw)
            state = State(
                parse_instant(doc["as_of"]) if doc["as_of"] is not None else None,
                [restore_fault(item) for item in doc["faults"]],
            )
        except (ValueError, KeyError, TypeError) as error:
            aside = self._path.with_name(f"{self._path.name}.unreadable")
            self._replace(self._path, aside)
            self._log(f"state file {self._path}: unreadable ({error}), not used, moved to {aside}")
            return None
        if doc["world"] != self._world:
            self._log(f"state file {self._path}: of another world ({_words(doc['world'])}), not used")
            return None
        return state

    def write(self, clock: Clock, faults: Faults) -> None:
        """Replace the file with the present state; returns when it is on disk."""
        fresh = self._path.with_name(f".{self._path.name}.new")
        # The state is taken under the lock, so of two changes at once the later one is written last.
        with self._lock:
            as_of = clock.as_of
            doc = {
                "format": FORMAT,
                "world": self._world,
                "as_of": iso(as_of) if as_of else None,
                "faults": faults.describe(),
            }
            try:
                with fresh.open("wb") as stream:
                    stream.write(orjson.dumps(doc, option=orjson.OPT_INDENT_2))
                    stream.flush()
                    os.fsync(stream.fileno())
            except OSError as error:
                raise StateError(f"cannot write the state file {fresh}: {error.strerror}") from error
            self._replace(fresh, self._path)

    def _replace(self, old: Path, new: Path) -> None:
        try:
            old.replace(new)
        except OSError as error:
            raise StateError(f"cannot replace {new} by {old}: {error.strerror}") from error


def _parse(raw: bytes) -> Json:
    if len(raw) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    doc = orjson.loads(raw)
    if not isinstance(doc, dict) or set(doc) != {"format", "world", "as_of", "faults"}:
        raise ValueError("not a state of the simulator")
    if doc["format"] != FORMAT:
        raise ValueError(f"format {doc['format']!r}, this version reads {FORMAT}")
    if not isinstance(doc["faults"], list):
        raise ValueError("faults must be a list")
    return doc


def _words(world: object) -> str:
    return " ".join(map(str, world.values())) if isinstance(world, dict) else repr(world)


def _log(message: str) -> None:
    sys.stderr.write(f"ciworld: {message}\n")
    sys.stderr.flush()
